"""`encode`: shards to latents, once, so that training never decodes media. One shard is one part; see `encode_work.py`.

OUT/shards/<generation>/shard-00000.tar -> OUT/latents/<recipe>/shard-00000.tar, index.parquet, stats, settings
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from manifests import files
from manifests.catalog import Catalog
from manifests.errors import ConfigError
from manifests.ids import recipe
from manifests.table import Table
from pipeline.context import check_error_rate, rate
from pipeline.engine.job import Job
from pipeline.engine.plan import Part
from pipeline.jobs import generation
from pipeline.work import work_off
from trainer.codecs import audio_codec, video_codec
from trainer.codecs.stats import ChannelStats, save_stats
from trainer.data.encode_settings import EncodeSettings
from trainer.data.encode_work import INFO, SCHEMA, EncodeWorker
from trainer.data.latents import INDEX, SETTINGS
from trainer.data.shards import Member, samples
from trainer.text.minilm import MiniLM

VERSION = 1


def encode(
    out: Path, settings: EncodeSettings, *, workers: int | None = None, address: str | None = None
) -> dict[str, Any]:
    """Encode every shard of a generation that is not encoded yet, fit the statistics, write the index; the outcome.

    planned = ok + too_short + quarantined, each of the latter two named under `causes` and in the table `latents`.
    workers: actors, by default one a CPU. address: of a Ray cluster, else a local session.
    Raises ConfigError when there are no shards or no training samples; KlearError `job:error_rate` when too many
    samples are damaged, `engine:unfinished` when shards could not be done.
    """
    started = time.monotonic()
    release = _release(out, settings.generation)
    settings = settings.model_copy(update={"generation": release.name})
    source = out / "shards" / release.name
    catalog = Catalog(out)
    table = catalog.table("latents", _recipe(settings, release), SCHEMA)
    folder = out / "latents" / table.folder.name
    parts = [_part(source, name, number) for number, name in enumerate(release.shard_names())]
    worker = EncodeWorker(table, source, folder, settings)
    job = Job("encode", (table,), worker, catalog.root / "leases" / "encode" / folder.name)
    done = work_off(catalog, job, parts, "samples", workers=workers, address=address)
    rows = table.read().to_pylist()
    causes = Counter(row["error_code"] for row in rows if row["status"] == "quarantined")
    check_error_rate("encode", causes.total(), len(rows), settings.max_error_rate, dict(causes))
    stats = _finish(folder, table, settings)
    catalog.set_current(table)
    return _outcome(table, release, folder, rows, stats) | rate(started, done)


def _release(out: Path, name: str | None) -> generation.Generation:
    folder = out / "shards"
    release = generation.latest(folder)
    if name is not None:
        known = {g.name: g for g in generation.listed(folder)}
        if name not in known:
            raise ConfigError("config:generation", f"generation = {name!r}: {folder} has {sorted(known)}")
        release = known[name]
    absent = [n for n in release.shard_names() if not (folder / release.name / n).is_file()]
    if absent:
        raise ConfigError(
            "out:shards", f"{release.name} lacks {len(absent)} shards ({absent[0]}): finish `klear shard`"
        )
    return release


def _recipe(settings: EncodeSettings, release: generation.Generation) -> str:
    video, audio = video_codec(settings.video_codec), audio_codec(settings.audio_codec)
    versions = {video.NAME: str(video.VERSION), audio.NAME: str(audio.VERSION), MiniLM.NAME: str(MiniLM.VERSION)}
    params = settings.model_dump(exclude={"generation", "max_error_rate"})
    return recipe("latents", VERSION, MiniLM().digest(), params, versions | {"shards": release.recipe})


def _part(source: Path, name: str, number: int) -> Part:
    keys = samples(source / name)
    return Part(name.removesuffix(".tar"), number, len(keys))


def _finish(folder: Path, table: Table, settings: EncodeSettings) -> dict[str, ChannelStats]:
    """Fit and write the statistics, then the settings, then the index, which says that the set is whole."""
    index = _index(table)
    stats = _fit(folder, index.to_pylist(), settings)
    save_stats(folder, stats)
    note = json.dumps({**settings.model_dump(), "recipe": table.recipe}, indent=1, sort_keys=True).encode()
    files.replace(folder / SETTINGS, methodcaller("write", note))
    files.replace(folder / INDEX, partial(pq.write_table, index))
    return stats


def _index(table: Table) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = table.read()
    rows = rows.filter(pc.equal(rows["status"], "ok")).sort_by("clip_id")
    keys = pa.array([key.hex() for key in rows["clip_id"].to_pylist()], pa.string())
    return rows.select(["shard", *INFO]).add_column(0, "key", keys)


def _fit(folder: Path, index: list[dict[str, Any]], settings: EncodeSettings) -> dict[str, ChannelStats]:
    """Statistics of both streams over the training samples of smallest key: ids are hashes, so a fair sample."""
    from safetensors.torch import load

    chosen = [row for row in index if row["split"] == "train"][: settings.stats_samples]
    raw = [load(Member(folder / row["shard"], row["offset"], row["size"]).read()) for row in chosen]
    video, audio = video_codec(settings.video_codec), audio_codec(settings.audio_codec)
    scaling = {"video": replace(video.SCALING, power=settings.p), "audio": audio.SCALING}
    names = {"video": f"{video.NAME}-{video.VERSION}", "audio": f"{audio.NAME}-{audio.VERSION}"}
    return {s: ChannelStats.fit(names[s], scaling[s], [row[s] for row in raw]) for s in names}


def _outcome(
    table: Table,
    release: generation.Generation,
    folder: Path,
    rows: list[dict[str, Any]],
    stats: Mapping[str, ChannelStats],
) -> dict[str, Any]:
    status = Counter(row["status"] for row in rows)
    failed = [row for row in rows if row["error_code"]]
    return {
        "job": "encode",
        "generation": release.name,
        "recipe": table.recipe,
        "folder": str(folder),
        "planned": len(rows),
        **{name: status[name] for name in ("ok", "too_short", "quarantined")},
        "causes": [{"key": r["clip_id"].hex(), "status": r["status"], "code": r["error_code"]} for r in failed],
        "psnr_db": _mean(rows, "psnr_db"),
        "audio_db": _mean(rows, "audio_db"),
        "stats": {name: stat.recipe for name, stat in stats.items()},
    }


def _mean(rows: list[dict[str, Any]], column: str) -> float | None:
    values = [row[column] for row in rows if row[column] is not None]
    return sum(values) / len(values) if values else None
