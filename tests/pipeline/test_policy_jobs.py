"""`klear policy` on made-up measures of 1,200 clips in two tiers: what it says is what brute force finds."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from filters.bypass import bypass
from filters.gates import load_policy
from manifests.errors import ConfigError, KlearError
from manifests.ids import digest
from manifests.query import connect, register, rows, wide
from manifests.schema import CLIPS
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import decide, known, run_stages
from pipeline.jobs.policy import audit, calibrate, cascade, diff, drawn, explain

COUNT = 1_200
POLICY = """
name: tried
gates:
  - {name: loud, measure: audio.loudness.rms_db, min: -30, source: t, ratio: 1}
  - {name: moves, measure: video.motion.static_ratio, max: 0.9, source: t}
  - {name: bright, classes: [music], measure: video.stills.luma_mean, min: 40, source: t, ratio: 2}
"""
LAXER = POLICY.replace("-30", "-35").replace("min: 40", "min: 60").replace("tried", "laxer")
PRESET = """
tiers:
  - {name: cheap, stages: [{name: audio.classes}, {name: audio.loudness}, {name: video.motion}]}
  - {name: dear, stages: [{name: video.stills}]}
policy: FOLDER/tried.yaml
bypass: 0.4
annotate: []
engine: {part_clips: 50, bucket_bits: 2}
"""


def clip(i: int) -> dict:
    source = digest("source", i // 5)
    return {"clip_id": digest("clip", i), "source_id": source, "bucket": source[0] >> 6}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Context, list[dict]]:
    """A context whose tables were made by hand, and the rows that went in. The second tier measured the survivors of
    the first and the bypass sample; every 97th clip is quarantined by loudness."""
    folder = tmp_path_factory.mktemp("policy")
    for name, text in (("tried", POLICY), ("laxer", LAXER)):
        (folder / f"{name}.yaml").write_text(text)
    (folder / "preset.yaml").write_text(PRESET.replace("FOLDER", str(folder)))
    context = Context(folder / "out", load(str(folder / "preset.yaml"), []))
    context.prepare()
    rng = np.random.default_rng(0)
    made = []
    for i in range(COUNT):
        numbers = {"rms_db": rng.uniform(-50, -10), "static_ratio": rng.random(), "luma_mean": rng.uniform(0, 200)}
        made.append({**clip(i), **numbers, "audio_class": ["music", "sound"][i % 2], "bad": i % 97 == 0})
    made.sort(key=lambda row: row["clip_id"])
    _publish(context, made)
    return context, made


def _publish(context: Context, made: list[dict]) -> None:
    clips = context.catalog.table("clips", digest("made").hex(), CLIPS)
    blank = {field.name: _blank(field) for field in CLIPS}
    for bucket in range(4):
        held = [row for row in made if row["bucket"] == bucket]
        clips.publish(f"b{bucket:04x}-all", [{**blank, **{k: row[k] for k in clip(0)}} for row in held])
    context.catalog.set_current(clips)
    found, _ = run_stages.ready(context, context.settings.stages)
    for r in found:
        for bucket in range(4):
            held = [row for row in made if row["bucket"] == bucket and (r.ref.name != "video.stills" or later(row))]
            for n in range(0, len(held), 50):
                r.table.publish(f"b{bucket:04x}-{n:05d}", [_row(r, row) for row in held[n : n + 50]])
        context.catalog.set_current(r.table)


def _row(r: run_stages.Ready, row: dict) -> dict:
    bad = row["bad"] and r.ref.name == "audio.loudness"
    key = {name: row[name] for name in ("clip_id", "source_id", "bucket")}
    told = {"status": "quarantined" if bad else "ok", "attempts": 1, "recipe": r.table.recipe}
    return {**key, **told, **({} if bad else {name: row.get(name) for name in r.stage.COLUMNS})}


def _blank(field: pa.Field) -> object:
    if field.nullable:
        return None
    return b"" if pa.types.is_fixed_size_binary(field.type) else "" if pa.types.is_string(field.type) else 1


def survives(row: dict) -> bool:
    return row["rms_db"] >= -30 and row["static_ratio"] <= 0.9


def later(row: dict) -> bool:
    return survives(row) or bypass(row["clip_id"], 0.4)


def kept(row: dict, low: float = -30, dark: float = 40) -> bool:
    dim = row["audio_class"] == "music" and later(row) and row["luma_mean"] < dark
    return row["rms_db"] >= low and row["static_ratio"] <= 0.9 and not dim


def fine(made: list[dict]) -> list[dict]:
    return [row for row in made if not row["bad"]]


def test_what_is_known_is_what_joins_give(world) -> None:
    context, made = world
    found = drawn.found_stages(context)
    names = {r.ref.name: list(r.stage.COLUMNS) for r in found}
    con = connect(context.catalog)
    for r in found:
        register(con, r.table)
    fit = " AND ".join(f"\"{name}\".status IS DISTINCT FROM 'quarantined'" for name in names)
    joined = rows(con, f"SELECT * EXCLUDE (source_id, name, uri) FROM ({wide(names, fit)}) ORDER BY clip_id")
    read = {f"{name}.{column}" for name, columns in names.items() for column in columns}
    beside = [row for _, one in known.by_group(context, found, read) for row in rows(one, "SELECT * FROM judged")]
    assert sorted(beside, key=lambda row: row["clip_id"]) == [
        {**row, "bypass": bypass(row["clip_id"], 0.4)} for row in joined
    ]
    assert len(joined) == len(fine(made))
    drawn_rows = [
        row for _, one in known.by_group(context, found, read, 0.1) for row in rows(one, "SELECT * FROM judged")
    ]
    assert {row["clip_id"] for row in drawn_rows} == {r["clip_id"] for r in fine(made) if bypass(r["clip_id"], 0.1)}


def test_tables_that_disagree_are_not_put_beside_each_other(world, tmp_path) -> None:
    context, _ = world
    one, two = drawn.found_stages(context)[:2]
    for n, r in enumerate((one, two)):
        table = type(r.table)(tmp_path, r.table.name, r.table.recipe, r.table.schema)
        row = {**dict.fromkeys(table.schema.names), "clip_id": digest(n), "source_id": b"s" * 16, "bucket": 0}
        table.publish("b0000-0", [row | {"status": "ok", "attempts": 1, "recipe": ""}])
    con = connect(context.catalog)
    torn = [
        run_stages.Ready(r.ref, r.stage, type(r.table)(tmp_path, r.table.name, r.table.recipe, r.table.schema))
        for r in (one, two)
    ]
    (alike,) = known._alike(con, torn, [0])
    with pytest.raises(Exception, match="hold different clips: run `klear validate`"):
        con.execute(known._beside(alike, ())).fetchall()


def test_decide_and_explain_count_what_brute_force_counts(world) -> None:
    context, made = world
    assert decide.run(context)["kept"] == sum(map(kept, fine(made)))
    result = explain.run(context)
    assert (result["judged"], result["kept"]) == (len(fine(made)), sum(map(kept, fine(made))))
    speaking = [row for row in fine(made) if bypass(row["clip_id"], 0.4)]
    assert result["sample"] == len(speaking) and result["late"] == ["video.stills.luma_mean"]
    loud, moves, bright = result["gates"]
    dim = [row for row in speaking if row["audio_class"] == "music" and row["luma_mean"] < 40]
    assert bright["decided"] == sum(row["audio_class"] == "music" for row in speaking)
    assert bright["fails"] == pytest.approx(len(dim) / bright["decided"])
    assert bright["fails_low"] < 0.2 < bright["fails_high"], "the truth, a fifth, is in the interval"
    assert bright["alone"] == pytest.approx(sum(map(survives, dim)) / len(speaking))
    quiet = [row for row in speaking if row["rms_db"] < -30]
    (pair,) = [p for p in result["pairs"] if {p["a"], p["b"]} == {"loud", "moves"}]
    assert pair["both"] == sum(row["static_ratio"] > 0.9 for row in quiet)
    assert loud["fails"] == pytest.approx(len(quiet) / len(speaking)) and moves["scope"] == "clip"
    explain.show(result)


def test_without_a_sample_later_gates_are_said_to_be_biased(world, capsys) -> None:
    context, made = world
    small = Context(context.out, context.settings.model_copy(update={"bypass": 0.01}))
    result = explain.run(small)
    assert result["bypassed"] < 100 and result["sample"] == len(fine(made))
    explain.show(result)
    assert "raise `bypass`" in " ".join(capsys.readouterr().err.split())
    none = Context(context.out, context.settings.model_copy(update={"bypass": 0.0}))
    with pytest.raises(ConfigError, match="bypass is 0"):
        calibrate.run(none, 0.27)


def test_calibrate_writes_a_policy_that_keeps_what_was_asked(world) -> None:
    context, made = world
    result = calibrate.run(context, 0.3)
    policy = load_policy(result["file"])
    assert [gate.name for gate in policy.gates] == [
        "loud_music", "loud_sound", "loud", "moves", "bright_music",
    ]  # fmt: skip
    achieved = {row["class"]: row["kept"] for row in result["achieved"]}
    assert 0.3 <= achieved["music"] <= 0.32 and 0.3 <= achieved["sound"] <= 0.32
    bounds = {gate.name: gate.min for gate in policy.gates}
    speaking = [r for r in fine(made) if bypass(r["clip_id"], 0.4) and r["audio_class"] == "music"]
    quiet = sum(row["rms_db"] < bounds["loud_music"] for row in speaking)
    assert sum(row["luma_mean"] < bounds["bright_music"] for row in speaking) == pytest.approx(2 * quiet, abs=2)
    assert "keeps 30% of music" in policy.gates[0].source and bounds["loud"] == -30
    again = Context(context.out, context.settings.model_copy(update={"policy": result["file"]}))
    assert explain.run(again)["judged"] == len(fine(made))
    calibrate.show(result)


@pytest.mark.parametrize(
    ("retain", "least", "about"), [(0.27, 10_000, "no class has 10000"), (0.999, 100, "alone keep")]
)
def test_calibrate_says_why_nothing_can_move(world, retain: float, least: int, about: str) -> None:
    context, _ = world
    with pytest.raises(KlearError, match=about):
        calibrate.run(context, retain, least=least)


def test_calibrate_refuses_what_makes_no_sense(world) -> None:
    context, _ = world
    with pytest.raises(ConfigError, match="in \\(0, 1\\]"):
        calibrate.run(context, 27)
    open_policy = Context(context.out, context.settings.model_copy(update={"policy": "open"}))
    with pytest.raises(ConfigError, match="no gate of policy open has a ratio"):
        calibrate.run(open_policy, 0.27)


def test_cascade_says_what_tiers_save_and_writes_them(world, tmp_path) -> None:
    context, made = world
    result = cascade.run(context, tmp_path / "tiers.yaml")
    speaking = [row for row in fine(made) if bypass(row["clip_id"], 0.4)]
    stages = {row["stage"]: row for row in result["stages"]}
    assert stages["audio.loudness"]["rejects"] == pytest.approx(
        sum(r["rms_db"] < -30 for r in speaking) / len(speaking)
    )
    assert stages["video.stills"]["tier"] == 2 and result["declared"] == sorted(stages)
    left = sum(map(survives, speaking)) / len(speaking)
    cheap, dear = (sum(row["seconds"] for row in stages.values() if row["tier"] == n) for n in (1, 2))
    assert result["seconds"]["these tiers"] == pytest.approx(cheap + left * dear)
    assert result["seconds"]["best found"] <= min(result["seconds"].values())
    tiers = yaml.safe_load((tmp_path / "tiers.yaml").read_text())["tiers"]
    assert [[stage["name"] for stage in tier["stages"]] for tier in tiers] == result["best"]
    cascade.show(result)


def test_diff_counts_who_moves(world) -> None:
    context, made = world
    laxer = str(Path(context.settings.policy).with_name("laxer.yaml"))
    result = diff.run(context, context.settings.policy, laxer)
    truth = [(kept(row), kept(row, -35, 60)) for row in fine(made)]
    everyone = result["classes"][-1]
    assert everyone["to_rejected"] == truth.count((True, False)) and everyone["to_kept"] == truth.count((False, True))
    assert everyone["kept_before"] == sum(a for a, _ in truth) and everyone["kept_after"] == sum(b for _, b in truth)
    assert result["rejecting"] == {"bright": truth.count((True, False))}
    assert result["was_rejecting"]["loud"] == truth.count((False, True))
    by_id = {row["clip_id"].hex(): row for row in made}
    assert {(row["moved"], row["audio_class"]) for row in result["clips"]} == {
        ("kept", "music"), ("kept", "sound"), ("rejected", "music"),
    }  # fmt: skip
    for row in result["clips"]:
        assert kept(by_id[row["clip_id"]], -35, 60) == (row["moved"] == "kept")
    diff.show(result)


def test_audit_takes_the_nearest_on_both_sides(world) -> None:
    context, made = world
    result = audit.run(context, near=3)
    shown = [row for row in result["clips"] if row["gate"] == "loud" and row["audio_class"] == "sound"]
    assert [row["side"] for row in shown] == ["passes"] * 3 + ["fails"] * 3
    speaking = [r["rms_db"] for r in fine(made) if bypass(r["clip_id"], 0.4) and r["audio_class"] == "sound"]
    assert [row["value"] for row in shown[:3]] == sorted(value for value in speaking if value >= -30)[:3]
    assert [row["value"] for row in shown[3:]] == sorted((value for value in speaking if value < -30), reverse=True)[:3]
    assert {row["audio_class"] for row in result["clips"] if row["gate"] == "bright"} == {"music"}


def test_answers_are_counted_and_checked(world, tmp_path) -> None:
    context, _ = world
    said = [{"gate": "loud", "side": "fails", "opinion": opinion} for opinion in ("good", "good", "bad", "unsure")]
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"policy": "tried", "answers": said}))
    (row,) = audit.answers(context, file)["answers"]
    assert (row["looked_at"], row["good"]) == (3, pytest.approx(2 / 3))
    file.write_text(json.dumps({"policy": "other", "answers": said}))
    with pytest.raises(ConfigError, match="is about policy 'other'"):
        audit.answers(context, file)
    file.write_text("[]")
    with pytest.raises(ConfigError, match="not what the audit page saves"):
        audit.answers(context, file)
