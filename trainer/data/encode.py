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
from pipeline.engine.job import Job, Needs
from pipeline.engine.plan import Part
from pipeline.jobs import generation
from pipeline.work import work_off
from trainer.codecs.stats import ChannelStats, save_stats
from trainer.data.encode_settings import OUTSIDE, EncodeSettings
from trainer.data.encode_work import INFO, SCHEMA, EncodeWorker
from trainer.data.encoder import FIDELITY, Encoder
from trainer.data.latents import INDEX, SETTINGS
from trainer.data.shards import Member, samples
from trainer.patches import CELL

VERSION = 2


def encode(
    out: Path, settings: EncodeSettings, *, workers: int | None = None, address: str | None = None
) -> dict[str, Any]:
    """Encode every shard of a generation that is not encoded yet, fit the statistics, write the index; the outcome.

    planned = ok + too_short + ineligible + quarantined, each of the latter three named under `causes` and in the table
    `latents`; ineligible: too small for every class of sizes. fidelity: mean and worst of what decodes again.
    workers: actors, by default one a CPU. address: of a Ray cluster, else a local session.
    Raises ConfigError when there are no shards or no training samples, and for weights that are not there; KlearError
    `job:error_rate` when too many samples are damaged, `engine:unfinished` when shards could not be done.
    """
    started = time.monotonic()
    release, settings, table = planned(out, settings)
    catalog, source = Catalog(out), out / "shards" / release.name
    folder = out / "latents" / table.folder.name
    parts = [_part(source, name, number) for number, name in enumerate(release.shard_names())]
    worker = EncodeWorker(table, source, folder, settings)
    job = Job("encode", (table,), worker, catalog.root / "leases" / "encode" / folder.name, needs=_needs(settings))
    done = work_off(catalog, job, parts, "samples", workers=workers, address=address)
    rows = table.read().to_pylist()
    causes = Counter(row["error_code"] for row in rows if row["status"] == "quarantined")
    check_error_rate("encode", causes.total(), len(rows), settings.max_error_rate, dict(causes))
    stats = _finish(folder, table, settings)
    catalog.set_current(table)
    return _outcome(table, release, folder, rows, stats) | {"licences": _licences(settings)} | rate(started, done)


def planned(out: Path, settings: EncodeSettings) -> tuple[generation.Generation, EncodeSettings, Table]:
    """The release that the settings mean, they themselves with its name, and the table of their recipe.

    Raises ConfigError when there are no such shards, and for weights that are not there.
    """
    release = _release(out, settings.generation)
    settings = settings.model_copy(update={"generation": release.name})
    return release, settings, Catalog(out).table("latents", _recipe(settings, release), SCHEMA)


def _needs(settings: EncodeSettings) -> Needs:
    """A GPU for each worker where there is one and a model that runs on it."""
    import torch

    models = settings.video_codec == "wan" or settings.audio_codec == "oobleck" or settings.text_encoder == "qwen"
    found = models and settings.device != "cpu" and torch.cuda.is_available()
    return Needs(gpus=float(found) if settings.gpus is None else settings.gpus)


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
    encoder = Encoder(settings)
    used = (encoder.video, encoder.audio, encoder.text)
    versions = {one.NAME: str(one.VERSION) for one in used} | {"shards": release.recipe}
    weights = "-".join(one.digest() for one in used if hasattr(one, "digest"))
    return recipe("latents", VERSION, weights, settings.model_dump(mode="json", exclude=OUTSIDE), versions)


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
    encoder = Encoder(settings)
    video, audio = encoder.video, encoder.audio
    power = settings.p if settings.video_codec == "dct" else video.SCALING.power
    scaling = {"video": replace(video.SCALING, power=power), "audio": audio.SCALING}
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
        **{name: status[name] for name in ("ok", "too_short", "ineligible", "quarantined")},
        "causes": [{"key": r["clip_id"].hex(), "status": r["status"], "code": r["error_code"]} for r in failed],
        "sizes": dict(sorted(Counter(_size(row) for row in rows if row["video"]).items())),
        "fidelity": {name: _told(rows, name) for name in FIDELITY},
        "stats": {name: stat.recipe for name, stat in stats.items()},
    }


def _size(row: dict[str, Any]) -> str:
    _, height, width = row["video"]
    return f"{width * CELL}x{height * CELL}"


def _told(rows: list[dict[str, Any]], column: str) -> dict[str, float] | None:
    """Mean and worst in dB, and of how many; None when nothing was measured."""
    values = [row[column] for row in rows if row[column] is not None]
    if not values:
        return None
    worst = max(values) if column == "lsd_db" else min(values)
    return {"mean": round(sum(values) / len(values), 2), "worst": round(worst, 2), "samples": len(values)}


def _licences(settings: EncodeSettings) -> dict[str, str]:
    encoder = Encoder(settings)
    return {one.NAME: one.LICENCE for one in (encoder.video, encoder.audio, encoder.text)}
