"""Apply a policy: one DuckDB query over a relation with a row a clip and columns `clip_id`, `<stage>.<column>`.

Verdict columns: clip_id; keep bool; rejected_by list<string> (the failed gates of a rejected clip; empty when kept);
reasons list<struct<gate, measure, value, min, max>> (every bound that made a gate fail, also of gates that only took
tasks away); unmeasured list<string> (gates that could not be decided); audio_class string (final); tasks list<string>;
score double (the policy's soft score; NULL without one).
"""

from collections.abc import Collection, Sequence

import duckdb

from filters.capability import AUDIO_TASKS, CLASSES, VIDEO_TASKS, column, final_class, quote, text
from filters.gates import SCORE, Condition, Gate, Policy, load_policy

__all__ = ["Policy", "apply", "columns_of", "compile_policy", "compiled", "judge", "kept_sql", "load_policy"]

Relation = duckdb.DuckDBPyRelation


def compile_policy(
    policy: Policy, available_columns: Collection[str], relation: str = "measures", also: Sequence[str] = ()
) -> str:
    """The SELECT that turns `relation` into verdicts. Columns it lacks count as NULL: not measured.

    also: columns of `relation` that come out beside the verdicts as they are.
    """
    gates, known = policy.gates, {*available_columns, SCORE}
    failed = [f"CASE WHEN g{i} IS FALSE THEN {text(gate.name)} END" for i, gate in enumerate(gates)]
    unknown = [f"CASE WHEN g{i} IS NULL THEN {text(gate.name)} END" for i, gate in enumerate(gates)]
    reasons = [r for i, gate in enumerate(gates) for r in _reasons(gate, gate, f"g{i} IS FALSE", known)]
    return f"""WITH judged AS ({judge(policy, available_columns, relation)}),
tasked AS (SELECT *, {_tasks(policy, range(len(gates)))} AS task_list FROM judged)
SELECT clip_id,
  len(task_list) > 0 AS keep,
  CASE WHEN len(task_list) > 0 THEN CAST([] AS VARCHAR[]) ELSE {_present(failed, "VARCHAR")} END AS rejected_by,
  {_present(reasons, REASON)} AS reasons,
  {_present(unknown, "VARCHAR")} AS unmeasured,
  audio_class,
  task_list AS tasks,
  {quote(SCORE)} AS score{"".join(f", {quote(name)}" for name in also)}
FROM tasked"""


def compiled(policy: Policy, con: duckdb.DuckDBPyConnection, relation: str, also: Sequence[str] = ()) -> str:
    """The SELECT of the verdicts of every clip of the table or view `relation` of `con`, and of its columns `also`."""
    return compile_policy(policy, columns_of(con, relation), relation, also)


def apply(policy: Policy, con: duckdb.DuckDBPyConnection, relation: str) -> Relation:
    """Verdicts of every clip of `relation` (lazy: `.to_arrow_table()`, `.fetchall()` run it)."""
    return con.sql(compiled(policy, con, relation))


REASON = 'STRUCT(gate VARCHAR, measure VARCHAR, "value" DOUBLE, "min" DOUBLE, "max" DOUBLE)'


def columns_of(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """Names of the columns of a table or view."""
    return con.sql(f"SELECT * FROM {quote(relation)} LIMIT 0").columns


def judge(policy: Policy, available: Collection[str], relation: str) -> str:
    """Relation plus `audio_class` and, for gate i, `applies<i>` and `g<i>`: TRUE passes, FALSE fails, NULL unknown."""
    applies = [_applies(gate) for gate in policy.gates]
    known = {*available, SCORE}
    gates = [
        f"{on} AS applies{i}, CASE WHEN {on} THEN {_passes(gate, known)} WHEN NOT ({on}) THEN TRUE END AS g{i}"
        for i, (gate, on) in enumerate(zip(policy.gates, applies))
    ]
    told = f"{final_class(available)} AS audio_class, {_score(policy, available)} AS {quote(SCORE)}"
    classed = f"SELECT *, {told} FROM {quote(relation)}"
    return f"SELECT *, {', '.join(gates)} FROM ({classed})"


def _score(policy: Policy, available: Collection[str]) -> str:
    """SQL of the soft score: the weighted mean of the terms that are measured, NULL when none is."""
    if not policy.score:
        return "CAST(NULL AS DOUBLE)"
    values = [(term, _number(term.measure, available)) for term in policy.score]
    risen = [
        f"{term.weight!r} * least(1.0, greatest(0.0, ({value} - {term.low!r}) / {term.high - term.low!r}))"
        for term, value in values
    ]
    total = " + ".join(f"coalesce({sql}, 0.0)" for sql in risen)
    weight = " + ".join(f"CASE WHEN {value} IS NULL THEN 0.0 ELSE {term.weight!r} END" for term, value in values)
    return f"CASE WHEN {weight} > 0 THEN ({total}) / ({weight}) END"


def _applies(gate: Gate) -> str:
    """Whether the gate is for the clip's class: unknown while the class is, unless it is for every class."""
    if gate.classes == CLASSES:
        return "TRUE"
    return f"(audio_class IN ({', '.join(map(text, gate.classes))}))"


def _passes(condition: Condition, available: Collection[str]) -> str:
    """Three-valued SQL of a condition."""
    if condition.members:
        joiner = " OR " if condition.any_of else " AND "
        return "(" + joiner.join(_passes(member, available) for member in condition.members) + ")"
    value = _value(condition, available)
    bounds = [f"{value} >= {condition.min!r}"] if condition.min is not None else []
    bounds += [f"{value} <= {condition.max!r}"] if condition.max is not None else []
    return "(" + " AND ".join(bounds) + ")"


def _value(bound: Condition, available: Collection[str]) -> str:
    return _number(str(bound.measure), available)


def _number(measure: str, available: Collection[str]) -> str:
    raw = column(measure, available, "DOUBLE")
    return f"CASE WHEN NOT isnan({raw}) THEN {raw} END"


def _reasons(gate: Gate, condition: Condition, failed: str, available: Collection[str]) -> list[str]:
    """A struct or NULL for each bound under `condition`: given when it and every group around it are false."""
    if condition.members:
        return [
            reason
            for member in condition.members
            for reason in _reasons(gate, member, f"{failed} AND {_passes(member, available)} IS FALSE", available)
        ]
    low, high = (("NULL" if bound is None else repr(bound)) for bound in (condition.min, condition.max))
    fields = f"{text(gate.name)}, {text(str(condition.measure))}, {_value(condition, available)}, {low}, {high}"
    return [f"CASE WHEN {failed} THEN CAST(row({fields}) AS {REASON}) END"]


def _tasks(policy: Policy, gates: Sequence[int] | range) -> str:
    """SQL list of the tasks left when only the gates with these positions count."""
    kept = [f"CASE WHEN {_allowed(policy, gates, task)} THEN {text(task)} END" for task in policy.tasks]
    return _present(kept, "VARCHAR")


def kept_sql(policy: Policy, first: int) -> str:
    """SQL, over the rows of `judge`: whether a task is left, where the policy's gates begin with number `first`."""
    tasks = [_allowed(policy, range(len(policy.gates)), task, first) for task in policy.tasks]
    return " OR ".join(f"({task})" for task in tasks)


def _allowed(policy: Policy, gates: Sequence[int] | range, task: str, first: int = 0) -> str:
    ends = {"clip": True, "audio": task in AUDIO_TASKS, "video": task in VIDEO_TASKS}
    binding = [f"g{first + i} IS NOT FALSE" for i in gates if ends[policy.gates[i].scope]]
    return " AND ".join(binding) or "TRUE"


def _present(expressions: Sequence[str], kind: str) -> str:
    """SQL list, of element type `kind`, of the expressions that are not NULL, in order."""
    return f"list_filter(CAST([{', '.join(expressions)}] AS {kind}[]), lambda x: x IS NOT NULL)"
