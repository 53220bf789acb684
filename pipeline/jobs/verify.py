"""Verify: are the shards what their index says? Every tar is hashed and counted, samples are read and decoded."""

import time
from typing import Any, Literal

from manifests import files
from manifests.errors import ConfigError
from manifests.ids import digest
from manifests.schema import RELEASE, SAMPLES, SHARDS
from pipeline.context import Context, rate
from pipeline.engine.plan import Part
from pipeline.jobs import generation, shard
from pipeline.jobs.verify_work import VERIFIED, VerifyWorker

Decode = Literal["all", "sample", "none"]
SHARES: dict[Decode, float] = {"all": 1.0, "sample": 0.05, "none": 0.0}
"""Share of the samples that are decoded. The hash of each MP4 is compared anyway."""


def run(
    context: Context, name: str | None = None, decode: Decode = "sample", *, forget: bool = False
) -> dict[str, Any]:
    """Verify a generation (by default the newest). `damaged` lists each shard that is not as it should be, and why.

    forget: remove the damaged shards, so that the next `klear shard` writes them again. Raises ConfigError
    `verify:forget` for a generation that it would not write: its shards would be gone for good.
    """
    started = time.monotonic()
    release = _release(context, name)
    if forget and shard.would_make(context) != release.recipe:
        raise ConfigError(
            "verify:forget",
            f"`klear shard` makes another generation than {release.name} of these settings and tables: nothing would "
            "make its shards again. Give the preset that it was made with, or verify it without --forget",
        )
    catalog, folder = context.catalog, context.out / "shards" / release.name
    planned, samples, shards = (
        catalog.table(name, release.recipe, schema)
        for name, schema in (("release", RELEASE), ("samples", SAMPLES), ("shards", SHARDS))
    )
    table = catalog.table("verified", digest(release.recipe, time.time_ns()).hex(), VERIFIED)
    worker = VerifyWorker(catalog, samples, shards, folder, release.name, SHARES[decode])
    names = [name.removesuffix(".tar") for name in release.shard_names()]
    counts = {name: len(planned.read_part(name)) if planned.has(name) else 0 for name in names}
    parts = [Part(name, number, counts[name]) for number, name in enumerate(names)]
    done = context.work_off("verify", [table], worker, parts, "samples")
    found = catalog.set_current(table).read().to_pylist()
    damaged = [{"shard": row["shard"], "problems": row["problems"]} for row in found if row["status"] != "ok"]
    if forget:
        for row in damaged:
            files.remove(folder / row["shard"])
    return {
        "job": "verify",
        "generation": release.name,
        "decode": decode,
        "shards": len(found),
        "samples": sum(row["samples"] for row in found),
        "decoded": sum(row["decoded"] for row in found),
        "damaged": sorted(damaged + _strangers(folder, release), key=lambda row: row["shard"]),
        **rate(started, done),
    }


def _release(context: Context, name: str | None) -> generation.Generation:
    folder = context.out / "shards"
    if name is None:
        return generation.latest(folder)
    known = {release.name: release for release in generation.listed(folder)}
    if name not in known:
        raise ConfigError("verify:generation", f"no generation {name!r} in {folder}: there are {sorted(known)}")
    return known[name]


def _strangers(folder: files.AnyPath, release: generation.Generation) -> list[dict[str, Any]]:
    """Tars that lie among the shards and are none."""
    extra = {name for name in files.names(folder) if name.endswith(".tar")} - set(release.shard_names())
    return [{"shard": name, "problems": ["no shard of this generation has this name"]} for name in sorted(extra)]
