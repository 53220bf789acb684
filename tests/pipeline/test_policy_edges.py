"""Policies that cannot be meant, samples that do not speak for all, and scores of two policies side by side."""

from pathlib import Path

import pytest

from filters.bypass import bypass
from manifests.errors import ConfigError, KlearError
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import decide
from pipeline.jobs.policy import audit, calibrate, diff, explain
from tests.pipeline.test_policy_jobs import PRESET, fine, world

__all__ = ["world"]
GATE = "  - {name: g, measure: MEASURE, BOUND, source: t}\n"


def written(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.yaml").write_text(f"name: {name}\n{text}")
    return str(folder / f"{name}.yaml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "gates:\n" + GATE.replace("MEASURE", "audio.classes.audio_class").replace("BOUND", "min: 1"),
            "of type string",
        ),
        ("gates:\n" + GATE.replace("MEASURE", "audio.classes.tags").replace("BOUND", "min: 1"), "bound numbers"),
        ("gates:\n" + GATE.replace("MEASURE", "audio.loudness.lufs").replace("BOUND", "max: .inf"), "finite"),
        ("gates:\n" + GATE.replace("MEASURE", "audio.loudness.lufs").replace("BOUND", "min: .nan"), "finite"),
        ("tasks: []\ngates:\n" + GATE.replace("MEASURE", "audio.loudness.lufs").replace("BOUND", "min: 1"), "tasks"),
        (
            "gates:\n" + GATE.replace("MEASURE", "audio.loudness.lufs").replace("BOUND", "min: 1, classes: []"),
            "would never apply",
        ),
    ],
)
def test_policies_that_cannot_be_meant(tmp_path, text, told) -> None:
    with pytest.raises(ConfigError, match=told):
        decide.named(written(tmp_path, "odd", text))


SCORED = """
score: [{measure: audio.loudness.rms_db, low: LOW, high: HIGH}]
gates:
  - {name: good, measure: policy.score, min: 0.5, source: t}
"""


def test_each_side_of_a_diff_has_its_own_score(world, tmp_path) -> None:
    context, made = world
    loud = written(tmp_path, "loud", SCORED.replace("LOW", "-50").replace("HIGH", "-10"))
    quiet = written(tmp_path, "quiet", SCORED.replace("LOW", "-20").replace("HIGH", "-40"))
    told = diff.run(context, loud, quiet)["classes"][-1]
    truth = [(row["rms_db"] >= -30, row["rms_db"] <= -30) for row in fine(made)]
    assert (told["kept_before"], told["kept_after"]) == (sum(a for a, _ in truth), sum(b for _, b in truth))
    assert told["to_kept"] == sum(b and not a for a, b in truth) > 100
    for name in (loud, quiet):
        own = Context(context.out, context.settings.model_copy(update={"policy": name}))
        assert explain.run(own)["kept"] == told["kept_before" if name == loud else "kept_after"]


def test_diff_shows_the_first_of_each_class_and_direction(world) -> None:
    context, _ = world
    laxer = str(Path(context.settings.policy).with_name("laxer.yaml"))
    whole = diff.run(context, context.settings.policy, laxer)["clips"]
    assert len(whole) == 3 * diff.SHOWN and [row["clip_id"] for row in whole[:4]] == sorted(
        r["clip_id"] for r in whole[:4]
    )


def test_a_sample_that_was_not_measured_does_not_speak_for_all(world) -> None:
    context, made = world
    raised = Context(context.out, context.settings.model_copy(update={"bypass": 0.9}))
    with pytest.raises(ConfigError, match="of the bypass sample looked at were not measured by video.stills"):
        calibrate.run(raised, 0.3)
    result = explain.run(raised)
    assert "not measured by video.stills" in result["wrong_sample"] and result["sample"] == len(fine(made))
    assert explain.run(context)["wrong_sample"] is None


def test_a_sample_without_a_clip_is_said_and_the_audit_takes_all(world) -> None:
    context, made = world
    least = min(s for s in (0.0001, 0.0002) if not any(bypass(row["clip_id"], s) for row in made))
    small = Context(context.out, context.settings.model_copy(update={"bypass": least}))
    with pytest.raises(KlearError, match="no clip of the bypass sample .* raise `bypass` for small data"):
        calibrate.run(small, 0.3)
    assert {row["gate"] for row in audit.run(small)["clips"]} == {"loud", "moves", "bright"}


def test_diff_of_nothing_says_what_to_run(tmp_path, world) -> None:
    context, _ = world
    (tmp_path / "preset.yaml").write_text(PRESET.replace("FOLDER", str(Path(context.settings.policy).parent)))
    empty = Context(tmp_path / "out", load(str(tmp_path / "preset.yaml"), []))
    empty.prepare()
    with pytest.raises(KlearError, match="can be judged yet: run `klear measure`"):
        diff.run(empty, context.settings.policy, context.settings.policy)


def test_calibrated_gates_never_share_a_name(world, tmp_path) -> None:
    context, _ = world
    text = """gates:
  - {name: loud, measure: audio.loudness.rms_db, min: -30, source: t, ratio: 1}
  - {name: loud_sound, classes: [music], measure: audio.loudness.rms_db, min: -60, source: t}
"""
    own = Context(context.out, context.settings.model_copy(update={"policy": written(tmp_path, "twice", text)}))
    made = calibrate.rebuilt(decide.policy_of(own), {}, 0.3, "t")
    assert [gate.name for gate in made.gates] == ["loud", "loud_sound"]
    assert calibrate.run(own, 0.3)["classes"]


def test_a_gate_speaks_only_where_what_is_given_is_not_false(world, tmp_path) -> None:
    context, made = world
    text = """gates:
  - {name: dim, measure: audio.loudness.rms_db, min: -30, source: t,
     given: {measure: video.motion.static_ratio, max: 0.5}}
  - {name: late, measure: audio.loudness.rms_db, min: -45, source: t,
     given: {measure: video.stills.luma_mean, min: 1000}}
"""
    own = Context(context.out, context.settings.model_copy(update={"policy": written(tmp_path, "given", text)}))
    kept = [
        not (row["rms_db"] < -30 and row["static_ratio"] <= 0.5) and not (row["rms_db"] < -45 and not _measured(row))
        for row in fine(made)
    ]
    assert explain.run(own)["kept"] == sum(kept)


def _measured(row: dict) -> bool:
    """Whether the second tier has luma: given is then false, as none reaches 1,000, and the gate says nothing."""
    return (row["rms_db"] >= -30 and row["static_ratio"] <= 0.9) or bypass(row["clip_id"], 0.4)
