"""Calibrate: new thresholds that keep a wanted share of each audio class, as a policy file. Runs no model."""

from collections.abc import Collection, Mapping
from itertools import chain, count
from operator import methodcaller
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from filters import patterns
from filters.calibration import Found, Sample, calibrate
from filters.capability import CLASSES
from filters.gates import Gate, Policy, leaves, written
from filters.interval import wilson
from filters.policy import columns_of, judge
from manifests import files
from manifests.errors import ConfigError, KlearError
from manifests.files import AnyPath
from pipeline import console
from pipeline.context import Context
from pipeline.jobs import decide, known
from pipeline.jobs.policy import drawn
from pipeline.jobs.policy.explain import between
from pipeline.report.limits import Limit, words


def run(context: Context, retain: float, to: AnyPath | None = None, least: int = drawn.ENOUGH) -> dict[str, Any]:
    """Write the calibrated policy (default: OUT/policies/<name>-<retain>.yaml) and say what it keeps.

    retain: share of the judged clips of each class, in (0, 1]. least: clips of a class below which its thresholds
    stay: on 100 a share is known to 10 percentage points. Raises ConfigError for other shares and for a policy
    without a gate that has a `ratio`.
    """
    policy = decide.policy_of(context)
    if not 0 < retain <= 1:
        raise ConfigError("policy:retain", f"--retain takes a share of the clips in (0, 1], e.g. 0.27; got {retain}")
    if not any(gate.ratio for gate in policy.gates):
        raise ConfigError(
            "policy:ratio",
            f"no gate of policy {policy.name} has a ratio, so no threshold may move: give those that may one, "
            "e.g. {name: motion, ..., ratio: 2}",
        )
    table, share = _sample(context, policy)
    samples = {name: _of_class(policy, table, name) for name in CLASSES}
    found = {name: calibrate(policy, name, s, retain) for name, s in samples.items() if len(s.answers) >= least}
    if not any(one.gates for one in found.values()):
        raise KlearError("policy:few", _why_none(samples, found, share, least))
    about = f"{len(table):,} clips of the bypass sample" if share else f"{len(table):,} clips"
    made = rebuilt(policy, found, retain, about)
    target = to or context.out / "policies" / f"{made.name}.yaml"
    files.replace(target, methodcaller("write", written(made).encode()))
    return {
        "job": "policy calibrate",
        "policy": policy.name,
        "retain": retain,
        "sample": len(table),
        "file": str(target),
        "classes": [_row(name, samples[name], found.get(name), retain, least) for name in CLASSES],
        "thresholds": [row for name, one in found.items() for row in _thresholds(policy, name, one)],
        "achieved": _achieved(context, made, table),
    }


def _why_none(samples: Mapping[str, Sample], found: Mapping[str, Found], share: float | None, least: int) -> str:
    """What keeps every threshold where it is."""
    told = [f"{name} {len(sample.answers)}" for name, sample in samples.items()]
    if not found:
        more = (
            f" (the bypass sample, {share:.1%} of all): raise `bypass` and run `klear filter` again"
            if share and share < 1
            else ""
        )
        return f"no class has {least} clips to calibrate on: {', '.join(told)}{more}"
    most = ", ".join(f"{name} {one.most:.1%}" for name, one in found.items())
    return f"the gates that may not move (no ratio) alone keep less than is asked: {most}"


def _sample(context: Context, policy: Policy) -> tuple[pa.Table, float | None]:
    """Class, measures and answers to the gates (columns g<i>, applies<i>) of the clips that speak for all."""
    share = drawn.share(context, [policy])
    found = drawn.found_stages(context)
    if wrong := drawn.unmeasured(context, policy, found):
        told = "run `klear filter` to its end with this `bypass`, or give the `--set bypass=` of the run that measured"
        raise ConfigError("policy:bypass", f"{wrong}: {told}")
    parts = []
    for _, con in known.by_group(context, found, decide.reads(policy), share):
        judged = judge(policy, columns_of(con, "judged"), "judged")
        parts.append(con.sql(f"SELECT * EXCLUDE (clip_id, bucket, bypass) FROM ({judged})").to_arrow_table())
    if not sum(map(len, parts)):
        few = f" of the bypass sample ({share:.1%} of all; raise `bypass` for small data)" if share else ""
        raise KlearError("policy:nothing", f"no clip{few} of {context.out} can be judged yet: run `klear filter`")
    return pa.concat_tables(parts), share if drawn.late(context, policy) else None


def _of_class(policy: Policy, table: pa.Table, name: str) -> Sample:
    import pyarrow.compute as pc

    held = table.filter(pc.equal(table["audio_class"], name))
    values = {}
    for measure in {str(leaf.measure) for gate in policy.gates for leaf in leaves(gate)}:
        column = held[measure].cast(pa.float64()) if measure in held.column_names else pa.nulls(len(held), pa.float64())
        values[measure] = column.to_numpy(zero_copy_only=False) if len(held) else np.zeros(0)
    answers = np.full((len(held), len(policy.gates)), patterns.UNKNOWN, np.uint8)
    for i in range(len(policy.gates)):
        passed = held[f"g{i}"].to_numpy()
        answers[passed == True, i] = patterns.PASSES  # noqa: E712 (of objects: None is neither)
        answers[passed == False, i] = patterns.FAILS  # noqa: E712
    return Sample(values, answers)


def rebuilt(policy: Policy, found: Mapping[str, Found], retain: float, about: str) -> Policy:
    """The policy with the moved gates, one for each class they were moved for; the rest as it was."""
    gates: list[Gate] = []
    for gate in policy.gates:
        moved = {name: one.gates[gate.name] for name, one in found.items() if gate.name in one.gates}
        for name, new in moved.items():
            source = f"keeps {retain:.0%} of {name} on {about}, ratio {gate.ratio:g}; before: {gate.source}"
            own = _unused(f"{gate.name}_{name}", {*(g.name for g in gates), *(g.name for g in policy.gates)})
            gates.append(new.model_copy(update={"name": own, "classes": (name,), "source": source}))
        if rest := tuple(name for name in gate.classes if name not in moved):
            gates.append(gate.model_copy(update={"classes": rest}))
    name = f"{policy.name}-{100 * retain:g}"
    told = {"name": name, "description": policy.description, "tasks": policy.tasks, "score": policy.score}
    return Policy.model_validate({**told, "gates": [gate.model_dump(exclude_defaults=True) for gate in gates]})


def _unused(name: str, taken: Collection[str]) -> str:
    """The name, or it and the first number that makes it another than those that are taken."""
    return next(one for one in chain([name], (f"{name}_{n}" for n in count(2))) if one not in taken)


def _row(name: str, sample: Sample, one: Found | None, retain: float, least: int) -> dict[str, Any]:
    if one is None:
        return {
            "class": name,
            "clips": len(sample.answers),
            "kept": None,
            "most": None,
            "why": f"fewer than {least}: thresholds stay",
        }
    why = "" if one.strictness is not None else f"gates without a ratio alone keep {one.most:.1%}: thresholds stay"
    if one.strictness is not None and one.kept > retain + 0.01:
        why = "ties, or gates that no clip can fail: this is the least above the target"
    return {"class": name, "clips": len(sample.answers), "kept": one.kept, "most": one.most, "why": why}


def _thresholds(policy: Policy, name: str, one: Found) -> list[dict[str, Any]]:
    """A row a bound that moved."""
    rows = []
    for gate in policy.gates:
        if gate.name not in one.gates:
            continue
        ends = [leaves(found[gate.name]) for found in (one.gates, one.low, one.high)]
        for old, new, low, high in zip(leaves(gate), *ends):
            bounds = [words(Limit(gate.name, str(b.measure), b.min, b.max, (), True)) for b in (old, new, low, high)]
            named = {"class": name, "gate": gate.name, "measure": str(old.measure)}
            rows.append({**named, "before": bounds[0], "now": bounds[1], "low": bounds[2], "high": bounds[3]})
    return rows


def _achieved(context: Context, made: Policy, table: pa.Table) -> list[dict[str, Any]]:
    """What the new policy, read back and applied as `decide` applies it, keeps of the sample."""
    gates = {f"{prefix}{i}" for i in range(len(table.column_names)) for prefix in ("g", "applies")}
    with duckdb.connect() as con:
        kept_columns = [name for name in table.column_names if name not in gates | {"audio_class"}]
        con.register("judged", table.select(kept_columns))
        counted = patterns.count(made, con, "judged")
    kept, classes = counted.kept(), np.array(counted.groups["audio_class"].to_pylist(), object)
    rows = []
    for name in [*(c for c in CLASSES if c in classes), "all"]:
        mask = np.ones(len(kept), bool) if name == "all" else classes == name
        hits, of = counted.total(mask & kept), counted.total(mask)
        low, high = wilson(hits, of)
        rows.append({"class": name, "clips": of, "kept": hits / of, "low": low, "high": high})
    return rows


def show(result: dict[str, Any]) -> None:
    """Tables for people."""
    moved = [row for row in result["thresholds"] if row["before"] != row["now"]]
    body = [[r["measure"], r["class"], r["before"], f"{r['now']} ({r['low']} … {r['high']})"] for r in moved]
    console.rows("Thresholds that move", ["measure", "class", "before", "now (ends of 95% intervals)"], body)
    kept = [[row["class"], row["clips"], between(row["kept"], row["low"], row["high"])] for row in result["achieved"]]
    console.rows(f"What it keeps, on {result['sample']:,} clips", ["class", "clips", "kept (95% interval)"], kept)
    for row in result["classes"]:
        if row["why"]:
            console.say(f"{row['class']}: {row['clips']:,} clips; {row['why']}")
    console.say(f"{result['file']}: use it with `--set policy={result['file']}`")
