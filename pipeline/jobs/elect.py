"""Elect: which of the clips that show the same footage stays. An opinion over the pairs that `dedup` found.

In order (released before, oldest generation first, then by clip_id) each clip stays unless one that stays already is
its duplicate. So a duplicate always has its canonical clip directly beside it: footage that two uploads cut at other
points is never given up along a chain of half-overlapping clips, and what was released stays released.
"""

from collections.abc import Callable

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.ids import bucket, digest
from manifests.query import open_duckdb, publish_by_bucket, register
from manifests.schema import DUPLICATES, ID, SAMPLES
from manifests.table import Table
from pipeline.config import DedupSettings
from pipeline.context import Context
from pipeline.jobs import generation

STAGE = "duplicates.fingerprint"
"""The stage whose words `dedup` compares."""
Kept = Callable[[int, pa.Table], pa.Table]
"""(bucket, table with clip_id) -> those of these clips, table with clip_id, that the policy keeps."""


def duplicates(context: Context, kept: Kept) -> Table | None:
    """The table of duplicates among the clips that the policy keeps; None before `klear dedup` has found pairs."""
    near = context.catalog.current("near")
    if near is None:
        return None
    con = open_duckdb(context.catalog)
    register(con, near)
    con.execute(f"CREATE TEMP TABLE edges AS SELECT * FROM near WHERE {_alike(context.settings.dedup)}")
    _rank(context, con, kept)
    _assign(con)
    found = con.sql("SELECT * FROM elected ORDER BY clip_id").to_arrow_table()
    content = digest(
        *(buffer.to_pybytes() for batch in found.combine_chunks().to_batches() for buffer in _bytes(batch))
    )
    table = context.catalog.table("duplicates", content.hex(), DUPLICATES)
    publish_by_bucket(con, "SELECT * FROM elected", table, context.settings.engine.bucket_bits, "source_id")
    return context.catalog.set_current(table)


def _bytes(batch: pa.RecordBatch) -> list[pa.Buffer]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return [sink.getvalue()]


def _alike(settings: DedupSettings) -> str:
    """SQL: whether a pair of `near` counts as duplicates. Within a source only what is all but identical does."""
    strict = f"CASE WHEN a_source = b_source THEN {settings.same_source!r} ELSE 1 END"
    picture, sound = (
        f"coalesce({name} <= {getattr(settings, name)!r} * {strict}, false)" for name in ("picture", "sound")
    )
    both, either = f"{picture} AND {sound}", f"({picture} OR {sound})"
    return {"both": both, "either": either, "picture": picture, "sound": sound}[settings.require]


def _rank(context: Context, con: duckdb.DuckDBPyConnection, kept: Kept) -> None:
    """Make the table `ranked` (clip_id, n): the kept clips of any edge, who stays first having the smallest number."""
    con.execute("CREATE TEMP TABLE staying (clip_id BLOB)")
    places = con.execute("SELECT DISTINCT a_source FROM edges UNION SELECT DISTINCT b_source FROM edges").fetchall()
    bits = context.settings.engine.bucket_bits
    by_bucket: dict[int, list[bytes]] = {}
    for (source,) in places:
        by_bucket.setdefault(bucket(source, bits), []).append(source)
    for number, sources in sorted(by_bucket.items()):
        con.register("sources", pa.table({"source_id": pa.array(sources, ID)}))
        members = con.sql(
            "SELECT a AS clip_id FROM edges WHERE a_source IN (SELECT source_id FROM sources) "
            "UNION SELECT b FROM edges WHERE b_source IN (SELECT source_id FROM sources)"
        ).to_arrow_table()
        con.register("fine", kept(number, members))
        con.execute("INSERT INTO staying SELECT clip_id FROM fine")
    _released(context, con)
    con.execute(
        "CREATE TEMP TABLE ranked AS SELECT clip_id, row_number() OVER first_come - 1 AS n FROM staying "
        "LEFT JOIN released USING (clip_id) WINDOW first_come AS (ORDER BY generation NULLS LAST, clip_id)"
    )


def _released(context: Context, con: duckdb.DuckDBPyConnection) -> None:
    """Make the table `released` (clip_id, generation: how many are older): the first release of each clip that still
    stands."""
    con.execute("CREATE TEMP TABLE released (clip_id BLOB, generation INTEGER)")
    for number, release in enumerate(generation.listed(context.out / "shards")):
        samples = Table(context.catalog.root, "samples", release.recipe, SAMPLES)
        register(con, samples, view=f"samples_{number}")
        con.execute(
            f"INSERT INTO released SELECT clip_id, {number} FROM samples_{number} s SEMI JOIN staying "
            "USING (clip_id) WHERE status = 'ok' AND clip_id NOT IN (SELECT clip_id FROM released)"
        )


def _assign(con: duckdb.DuckDBPyConnection) -> None:
    """Make the table `elected`, a row for each clip that does not stay."""
    pairs = con.sql(
        "SELECT least(x.n, y.n) AS first, greatest(x.n, y.n) AS second FROM edges "
        "JOIN ranked x ON x.clip_id = edges.a JOIN ranked y ON y.clip_id = edges.b ORDER BY ALL"
    ).fetchnumpy()
    (count,) = con.execute("SELECT count(*) FROM ranked").fetchall()[0]
    stands_for = greedy(pairs["first"], pairs["second"], count)
    gone = np.flatnonzero(stands_for != np.arange(count))
    con.register("assigned", pa.table({"n": gone, "canonical": stands_for[gone]}))
    con.execute("""
CREATE TEMP TABLE elected AS
SELECT x.clip_id, CASE WHEN e.a = x.clip_id THEN e.a_source ELSE e.b_source END AS source_id, y.clip_id AS canonical,
    e.picture, e.sound
FROM assigned JOIN ranked x USING (n) JOIN ranked y ON y.n = assigned.canonical
JOIN edges e ON e.a = least(x.clip_id, y.clip_id) AND e.b = greatest(x.clip_id, y.clip_id)""")


def greedy(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Whom each of `count` clips is a duplicate of, itself where it stays; (count,) int64.

    first, second: the pairs' ranks, first < second, sorted: when a clip's own pairs come up, its fate is known.
    """
    stands_for = np.arange(count)
    for one, two in zip(first.tolist(), second.tolist()):
        if stands_for[one] == one and stands_for[two] == two:
            stands_for[two] = one
    return stands_for


GATE = "duplicate"


def gated(verdicts: str, settings: DedupSettings) -> str:
    """SQL: the verdicts, with kept clips that the view `duplicates` names rejected: "duplicate of <canonical>"."""
    reasons = ", ".join(
        f"{{'gate': '{GATE}', 'measure': '{name}, duplicate of ' || lower(hex(d.canonical)), 'value': d.{name}, "
        f"'min': {getattr(settings, name)!r}, 'max': NULL}}"
        for name in ("picture", "sound")
    )
    gone = "v.keep AND d.clip_id IS NOT NULL"
    return f"""
SELECT v.* REPLACE (
    v.keep AND d.clip_id IS NULL AS keep,
    CASE WHEN {gone} THEN ['{GATE}'] ELSE v.rejected_by END AS rejected_by,
    CASE WHEN {gone} THEN list_concat(v.reasons, [{reasons}]) ELSE v.reasons END AS reasons,
    CASE WHEN {gone} THEN [] ELSE v.tasks END AS tasks)
FROM ({verdicts}) v LEFT JOIN duplicates d ON d.clip_id = v.clip_id"""


def yield_of(verdicts: pa.Table) -> dict[str, int | str]:
    """The row of this gate among the policy's yields, for these verdicts."""
    gates = verdicts["rejected_by"].combine_chunks()
    alone = gates.filter(pc.equal(pc.list_value_length(gates), 1))
    gone = pc.sum(pc.equal(alone.flatten(), GATE)).as_py() or 0
    counts = {"measured": verdicts.filter(verdicts["keep"]).num_rows + gone, "failed": gone}
    return {"gate": GATE, "scope": "clip", **counts, "rejected": gone, "alone": gone}
