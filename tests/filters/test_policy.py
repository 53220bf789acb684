"""Verdicts by SQL against a plain Python evaluation of the same policy, over random policies and rows."""

import math
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.capability import AUDIO_TASKS, CLASSES, TASKS, VIDEO_TASKS
from filters.gates import Condition, Gate
from filters.patterns import count, together
from filters.policy import Policy, judge, load_policy
from filters.verdicts import apply
from manifests.errors import ConfigError

MEASURES = ["a.x", "a.y", "b.z"]
CON = duckdb.connect(config={"threads": 1})
VALUES = st.one_of(st.none(), st.just(math.nan), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]))


def conditions(depth: int) -> st.SearchStrategy[dict]:
    bound = st.fixed_dictionaries(
        {"measure": st.sampled_from([*MEASURES, "never.measured"])},
        optional={"min": st.sampled_from([-1.0, 0.0, 0.5])},
    ).flatmap(lambda d: st.just(d | {"max": 1.0}) if "min" not in d else st.sampled_from([d, d | {"max": 1.0}]))
    if depth == 0:
        return bound
    members = st.lists(conditions(depth - 1), min_size=1, max_size=3)
    return st.one_of(bound, members.map(lambda m: {"any_of": m}), members.map(lambda m: {"all_of": m}))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    gates = []
    for i in range(draw(st.integers(1, 4))):
        classes = draw(st.sampled_from(["all", "speech", ["music", "sound"], ["single_speech"]]))
        scope = draw(st.sampled_from(["clip", "audio", "video"]))
        gates.append(draw(conditions(2)) | {"name": f"gate{i}", "classes": classes, "scope": scope, "source": "test"})
    return Policy.model_validate({"name": "random", "gates": gates})


@st.composite
def rows(draw: st.DrawFn) -> list[dict]:
    return [
        {
            "clip_id": bytes([i]),
            "audio.classes.audio_class": draw(st.sampled_from([None, "speech", "singing", "music", "sound"])),
            "audio.voices.speakers": draw(st.sampled_from([None, 0, 1, 2, 3])),
            **{measure: draw(VALUES) for measure in MEASURES},
        }
        for i in range(draw(st.integers(1, 4)))
    ]


def passes(condition: Condition, row: dict) -> bool | None:
    if condition.members:
        results = [passes(member, row) for member in condition.members]
        decisive = bool(condition.any_of)
        return decisive if decisive in results else None if None in results else not decisive
    value = row.get(condition.measure)
    if value is None or math.isnan(value):
        return None
    low = -math.inf if condition.min is None else condition.min
    high = math.inf if condition.max is None else condition.max
    return low <= value <= high


def final(row: dict) -> str | None:
    voted = row["audio.classes.audio_class"]
    if voted == "speech":
        return "multi_speech" if (row["audio.voices.speakers"] or 0) >= 2 else "single_speech"
    return voted


def result(gate: Gate, row: dict) -> bool | None:
    if gate.classes != CLASSES:
        if final(row) is None:
            return None
        if final(row) not in gate.classes:
            return True
    return passes(gate, row)


def blamed(condition: Condition, row: dict) -> list[str]:
    if passes(condition, row) is not False:
        return []
    if not condition.members:
        return [condition.measure]
    return [measure for member in condition.members for measure in blamed(member, row)]


def tasks_left(failed: list[Gate]) -> list[str]:
    lost = {"clip": TASKS, "audio": AUDIO_TASKS, "video": VIDEO_TASKS}
    return [task for task in TASKS if not any(task in lost[gate.scope] for gate in failed)]


def verdict(policy: Policy, row: dict) -> dict:
    results = [(gate, result(gate, row)) for gate in policy.gates]
    failed = [gate for gate, ok in results if ok is False]
    tasks = tasks_left(failed)
    return {
        "clip_id": row["clip_id"],
        "keep": bool(tasks),
        "rejected_by": [] if tasks else [gate.name for gate in failed],
        "reasons": [(gate.name, measure) for gate in failed for measure in blamed(gate, row)],
        "unmeasured": [gate.name for gate, ok in results if ok is None],
        "audio_class": final(row),
        "tasks": tasks,
    }


def load(con: duckdb.DuckDBPyConnection, table: list[dict]) -> None:
    schema = pa.schema(
        [
            ("clip_id", pa.binary()),
            ("audio.classes.audio_class", pa.string()),
            ("audio.voices.speakers", pa.int32()),
            *[(measure, pa.float64()) for measure in MEASURES],
        ]
    )
    con.register("measures", pa.Table.from_pylist(table, schema))


@settings(max_examples=50, deadline=None)
@given(policies(), rows())
def test_sql_equals_brute_force(policy: Policy, table: list[dict]) -> None:
    load(CON, table)
    judged = apply(policy, CON, "measures")
    found = judged.table.to_pylist()
    counts = {row["gate"]: row for row in count(policy, CON, "measures").yields()}
    assert counts == {row["gate"]: row for row in judged.patterns.yields()}
    for row in found:
        row["reasons"] = [(reason["gate"], reason["measure"]) for reason in row["reasons"]]
        assert row.pop("score") is None, "no score without terms"
    expected = [verdict(policy, row) for row in table]
    assert sorted(found, key=lambda r: r["clip_id"]) == expected
    for gate in policy.gates:
        failed = [row for row in table if result(gate, row) is False]
        rejected = [row for row in failed if not verdict(policy, row)["keep"]]
        rest = [g for g in policy.gates if g is not gate]
        alone = [r for r in rejected if tasks_left([g for g in rest if result(g, r) is False])]
        assert counts[gate.name]["failed"] == len(failed)
        assert counts[gate.name]["rejected"] == len(rejected)
        assert counts[gate.name]["alone"] == len(alone)
    shared = together([count(policy, CON, "measures", ())] * 2).overlap()
    fails = [[result(gate, row) is False for gate in policy.gates] for row in table]
    assert shared.tolist() == [
        [2 * sum(row[i] and row[j] for row in fails) for j in range(len(policy.gates))]
        for i in range(len(policy.gates))
    ]


def bounded(**extra: object) -> dict:
    return {"name": "p", "gates": [{"name": "g", "measure": "a.x", "max": 0.2, "source": "test"} | extra]}


def test_reasons_hold_value_and_bounds() -> None:
    with duckdb.connect() as con:
        load(con, [{"clip_id": b"a", "a.x": 0.7}])
        (row,) = apply(Policy.model_validate(bounded()), con, "measures").table.to_pylist()
    assert row["reasons"] == [{"gate": "g", "measure": "a.x", "value": 0.7, "min": None, "max": 0.2}]
    assert row["rejected_by"] == ["g"] and not row["keep"]


def test_measured_counts_only_clips_of_the_gates_classes() -> None:
    table = [{"clip_id": bytes([i]), "audio.classes.audio_class": c, "a.x": 0.1} for i, c in enumerate("abc")]
    table[0]["audio.classes.audio_class"] = "music"
    with duckdb.connect() as con:
        load(con, table)
        (row,) = count(Policy.model_validate(bounded(classes="music")), con, "measures").yields()
    assert tuple(row.values()) == ("g", "clip", 1, 0, 0, 0)


@pytest.mark.parametrize("name", ["klear", "mova", "demo"])
def test_shipped_policies_load_and_run(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name
    with duckdb.connect() as con:
        load(con, [{"clip_id": b"a", "audio.classes.audio_class": "speech"}])
        (row,) = apply(policy, con, "measures").table.to_pylist()
    assert row["keep"] and row["tasks"] == list(TASKS)
    assert "belongs_together" in row["unmeasured"]


def test_more_gates_than_a_word_holds() -> None:
    """Answers and outcomes of bounds are kept in words of 30 and 60."""
    gates = [{"name": f"g{i}", "measure": MEASURES[i % 3], "min": 0.5 + i, "source": "test"} for i in range(70)]
    policy = Policy.model_validate({"name": "many", "gates": gates})
    table = [{"clip_id": bytes([i]), "a.x": i - 0.25, "a.y": None, "b.z": i + 0.75} for i in range(72)]
    with duckdb.connect() as con:
        load(con, table)
        judged = apply(policy, con, "measures")
        counted = count(policy, con, "measures", ()).yields()
    assert judged.patterns.yields() == counted
    for row, found in zip(table, judged.table.to_pylist(), strict=True):
        failed = [g for g in gates if row[g["measure"]] is not None and row[g["measure"]] < g["min"]]
        assert found["rejected_by"] == [g["name"] for g in failed]
        assert [(r["gate"], r["value"], r["min"]) for r in found["reasons"]] == [
            (g["name"], row[g["measure"]], g["min"]) for g in failed
        ]
        assert found["unmeasured"] == [g["name"] for g in gates if g["measure"] == "a.y"]


def test_no_clips_no_verdicts() -> None:
    with duckdb.connect() as con:
        load(con, [])
        judged = apply(load_policy("klear"), con, "measures")
    assert len(judged.table) == 0 and judged.patterns.yields()[0]["failed"] == 0


def test_silence_gate_of_the_paper() -> None:
    table = [
        {"clip_id": b"a", "audio.classes.audio_class": "speech", "a.x": 0.0},
        {"clip_id": b"b", "audio.classes.audio_class": "music", "a.x": 0.0},
    ]
    with duckdb.connect() as con:
        load(con, table)
        con.sql('CREATE VIEW m AS SELECT *, 0.25 AS "audio.silence.vad_silence_ratio" FROM measures')
        verdicts = apply(load_policy("klear"), con, "m").table.to_pylist()
    got = {row["clip_id"]: row["rejected_by"] for row in verdicts}
    assert got == {b"a": ["silence_speech"], b"b": []}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maks": 1}, "did you mean 'max'"),
        ({"classes": "speach"}, "unknown audio class 'speach'"),
        ({"min": 0.5}, "nothing would pass"),
        ({"any_of": [{"measure": "a.x", "max": 1}]}, "exactly one of"),
        ({"measure": "no spaces; drop"}, "measure"),
    ],
)
def test_bad_policies_say_what_is_wrong(change: dict, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(bounded(**change)))
    with pytest.raises(ConfigError, match=message):
        load_policy(str(path))


def test_unknown_policy_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="demo"):
        load_policy("nothing")


def test_digest_follows_thresholds() -> None:
    first, second = Policy.model_validate(bounded()), Policy.model_validate(bounded(max=0.3))
    assert first.digest() != second.digest() and first.digest() == Policy.model_validate(bounded()).digest()
    assert first.measures() == ["a.x"]
    assert "0.2" in judge(first, ["clip_id", "a.x"], "measures")


def test_the_score_is_the_weighted_mean_of_what_is_measured() -> None:
    terms = [{"measure": "a.x", "low": 0, "high": 2, "weight": 3}, {"measure": "a.y", "low": 1, "high": 0}]
    gate = {"name": "g", "measure": "policy.score", "min": 0.5, "source": "test"}
    policy = Policy.model_validate({"name": "p", "score": terms, "gates": [gate]})
    table = [
        {"clip_id": b"a", "a.x": 1.0, "a.y": 0.0},  # (3 x 0.5 + 1 x 1) / 4
        {"clip_id": b"b", "a.x": 5.0, "a.y": None},  # beyond high, alone
        {"clip_id": b"c", "a.x": None, "a.y": 0.75},
        {"clip_id": b"d", "a.x": None, "a.y": math.nan},
    ]
    with duckdb.connect() as con:
        load(con, table)
        rows = sorted(apply(policy, con, "measures").table.to_pylist(), key=lambda row: row["clip_id"])
    assert [row["score"] for row in rows] == [0.625, 1.0, 0.25, None]
    assert [row["keep"] for row in rows] == [True, True, False, True] and rows[3]["unmeasured"] == ["g"]
    assert policy.measures() == ["a.x", "a.y"]


@pytest.mark.parametrize(
    ("extra", "about"),
    [
        ({"score": [{"measure": "a.x", "low": 1, "high": 1}]}, "slope"),
        ({"gates": [{"name": "g", "measure": "policy.score", "min": 0.5, "source": "t"}]}, "has no score"),
        ({"gates": [{"name": "g", "measure": "a.x", "min": 0.5, "source": "t", "ratio": 0}]}, "ratio"),
    ],
)
def test_what_a_policy_may_not_say(tmp_path, extra: dict, about: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(bounded() | extra))
    with pytest.raises(ConfigError, match=about):
        load_policy(str(path))
