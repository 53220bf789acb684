"""What is known of clips: a row a clip, the columns of its stages beside each other. What policies judge.

The tables of a tier have the same parts, and a part the same keys in the same order: such tables are put beside each
other row by row, and each tier is joined once. That halves the work of a join a table.
"""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import duckdb
import pyarrow as pa

from filters.bypass import bypass_sql
from filters.capability import quote, text
from manifests.query import connect, groups, register
from pipeline.context import Context
from pipeline.jobs.run_stages import Ready


def of(
    context: Context,
    found: Sequence[Ready],
    read: Collection[str],
    some: Sequence[int],
    members: pa.Table | None = None,
    sample: float | None = None,
) -> duckdb.DuckDBPyConnection:
    """A connection with the table `judged`: a row for each clip of these buckets that the first tier has measured and
    no stage has quarantined, with `clip_id`, `bucket`, `bypass` (bool), and a column `<stage>.<column>` for each name
    of `read` that a stage of `found` has. Clips come in the order of bucket and clip_id as long as DuckDB keeps that of
    what it joins to, so whoever needs an order sorts.

    members: a table with clip_id, when only these are asked for. sample: only this share of the clips, in [0, 1], drawn
    by their ids; the bypass sample is the one of its share.
    """
    con = connect(context.catalog, some, "clips")
    con.execute(f"CREATE TEMP TABLE asked AS {_asked(con, context.settings.bypass, members, sample)} ORDER BY ALL")
    joins, columns, fit = [], [], ["true"]
    for n, alike in enumerate(_alike(con, found, some)):
        con.execute(f"CREATE OR REPLACE TEMP VIEW tier{n} AS {_beside(alike, read)}")
        joins.append(f"LEFT JOIN tier{n} ON tier{n}.clip_id = asked.clip_id")
        columns += [f"tier{n}.{quote(name)}" for r in alike for name in _columns(r, read)]
        fit.append(f"tier{n}._bad IS NOT TRUE")
        if {r.ref.name for r in alike} & {ref.name for ref in context.settings.tiers[0].stages}:
            fit.append(f"tier{n}.clip_id IS NOT NULL")
    con.execute(
        f"CREATE TEMP TABLE judged AS SELECT {', '.join(['asked.*', *columns])} FROM asked {' '.join(joins)} "
        f"WHERE {' AND '.join(fit)}"
    )
    con.execute("DROP TABLE asked")
    return con


def by_group(
    context: Context, found: Sequence[Ready], read: Collection[str], sample: float | None = None
) -> Iterator[tuple[list[int], duckdb.DuckDBPyConnection]]:
    """`of`, for all clips: groups of buckets with their connections, which are closed when the next is asked for. The
    next is made while the caller works on one."""
    some = groups(context.catalog)
    with ThreadPoolExecutor(1) as maker:
        making = [maker.submit(of, context, found, read, held, None, sample) for held in some[:1]]
        for held, after in zip(some, [*some[1:], None]):
            con = making.pop().result()
            making += [maker.submit(of, context, found, read, after, None, sample)] if after else []
            yield held, con
            con.close()


def _asked(con: duckdb.DuckDBPyConnection, share: float, members: pa.Table | None, sample: float | None) -> str:
    """SQL of the clips in question."""
    where = [] if sample is None else [bypass_sql(sample)]
    if members is not None:
        con.register("members", members)
        where.append("clip_id IN (SELECT clip_id FROM members)")
    told = f"bucket, clip_id, {bypass_sql(share)} AS bypass"
    return f"SELECT {told} FROM clips WHERE {' AND '.join(where) or 'true'}"


def _alike(con: duckdb.DuckDBPyConnection, found: Sequence[Ready], some: Sequence[int]) -> Iterator[list[Ready]]:
    """The stages whose tables hold the same rows in the same order, together; their views are made."""
    ordered = sorted(((register(con, r.table, bucket=some), r) for r in found), key=lambda pair: pair[0])
    for _, pairs in groupby(ordered, key=lambda pair: pair[0]):
        yield [r for _, r in pairs]


def _columns(r: Ready, read: Collection[str]) -> list[str]:
    return [f"{r.ref.name}.{column}" for column in r.stage.COLUMNS if f"{r.ref.name}.{column}" in read]


def _beside(alike: Sequence[Ready], read: Collection[str]) -> str:
    """SQL of a row a clip: clip_id, whether a stage quarantined it (`_bad`), and the stages' columns."""
    names = [quote(r.ref.name) for r in alike]
    wanted = [(r, name) for r in alike for name in _columns(r, read)]
    columns = [f"{quote(r.ref.name)}.{quote(name.rpartition('.')[2])} AS {quote(name)}" for r, name in wanted]
    bad = " OR ".join(f"{name}.status = 'quarantined'" for name in names)
    first = f"{names[0]}.clip_id"
    same = " AND ".join(f"{name}.clip_id = {first}" for name in names[1:]) or "true"
    torn = text(f"the same parts of {', '.join(r.ref.name for r in alike)} hold different clips: run `klear validate`")
    bad = f"CASE WHEN {same} THEN {bad} ELSE error({torn}) END"
    told = ", ".join([f"{first} AS clip_id", f"{bad} AS _bad", *columns])
    return f"SELECT {told} FROM {' POSITIONAL JOIN '.join(names)}"
