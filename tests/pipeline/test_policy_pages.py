"""The pages of `klear policy`: clips that are there to look at, and go when they are taken down."""

from filters.gates import load_policy
from pipeline.jobs import takedown
from pipeline.jobs.policy import audit, diff
from pipeline.report import looked_at


def test_pages_hold_clips_until_they_are_taken_down(copy, tmp_path) -> None:
    silence = tmp_path / "silence.yaml"
    silence.write_text("name: silence\ngates:\n  - {name: hush, measure: audio.loudness.rms_db, max: -90, source: t}\n")
    result = diff.run(copy, copy.settings.policy, str(silence))
    assert result["classes"][-1]["to_rejected"] == 10 and len(result["clips"]) == diff.SHOWN
    page = looked_at.diff(copy, load_policy(str(silence)), result)
    asked = audit.run(copy, near=2)
    judged = looked_at.audit(copy, load_policy(copy.settings.policy), asked)
    for row in result["clips"]:
        assert f"looked_at/rejected-{row['clip_id']}.mp4" in page.read_text()
        assert (page.parent / "looked_at" / f"rejected-{row['clip_id']}.mp4").stat().st_size > 1000
    assert "hush</b> of silence" in page.read_text()
    assert judged.read_text().count('class="opinion"') == len(asked["clips"]) == 2
    takedown.run(copy, "clip", result["clips"][0]["clip_id"], "asked to")
    assert not page.exists() and not judged.exists()
    assert len(list((page.parent / "looked_at").glob("*.mp4"))) == len({*_ids(result), *_ids(asked)}) - 1


def _ids(result: dict) -> list[str]:
    return [row["clip_id"] for row in result["clips"]]
