"""`plan`: parameters, FLOPs, memory, traffic and time of a run on GPUs that need not be there; what does not fit is
refused, with the smallest change that would."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from manifests.errors import ConfigError
from trainer.batches import Grain, load_of
from trainer.flops import Load, training_flops
from trainer.gpus import USABLE, Gpu, gpu_named
from trainer.model.layout import PAD_ROWS, STREAMS
from trainer.plan.assumed import assumed
from trainer.plan.change import Change, candidates
from trainer.plan.clip import Clip, clips_of
from trainer.plan.layout import Layout, layout_of
from trainer.plan.memory import activation_bytes, data_bytes, weight_bytes
from trainer.plan.step import Work, expected_step, micro_batch
from trainer.plan.time import Step, seconds, traffic
from trainer.plan.trained import counted, counted_parts
from trainer.settings import TrainSettings
from trainer.tasks import TASKS


def plan(settings: TrainSettings, gpus: int, gpu: str, clips: Sequence[Clip] = (), stage: int = 1) -> dict[str, Any]:
    """The plan, JSON-ready, for the largest of the clips; `flops` are of all of them.

    `fits` says whether it can run, `change` what would make it run (for --set), `after` memory and step with that.
    clips: by default the largest of each class that the settings encode. Raises ConfigError for what `train` refuses.
    """
    kind, clips = gpu_named(gpu), clips or clips_of(settings)
    if settings.parallel.float8 != "none" and not kind.float8:
        raise ConfigError("config:float8", f"a {kind.name} has no float8 products: set parallel.float8=none")
    every = _loads(settings, clips)
    work = _largest(every, stage)
    layout = layout_of(settings, gpus, work.largest.tokens)
    fits = _fits(settings, layout, work, kind)
    change = None if fits else _change(settings, gpus, work, kind)
    return {
        "parameters": counted_parts(settings.model) | {"items": counted(settings.model)},
        "clips": [
            asdict(clip)
            | {"tokens": {name: load.tokens for name, load in tasks.items()}}
            | {"flops": {name: training_flops(load, settings.model) for name, load in tasks.items()}}
            for clip, tasks in zip(clips, every, strict=True)
        ],
        "gpu": asdict(kind),
        "assumed": assumed(kind, layout),
        **at(settings, layout, work, kind),
        "fits": fits,
        "change": list(change.words) if change else [],
        "after": at(change.settings, change.layout, work, kind) if change else None,
    }


def work_of(settings: TrainSettings, clips: Sequence[Clip], stage: int = 1) -> Work:
    """What is planned for: the largest of the clips."""
    return _largest(_loads(settings, clips), stage)


def _loads(settings: TrainSettings, clips: Sequence[Clip]) -> list[dict[str, Load]]:
    """Of each clip, by task."""
    grain = Grain.of(settings.model)
    return [{name: load_of(c.info(), task, grain) for name, task in TASKS.items()} for c in clips]


def _largest(loads: Sequence[Mapping[str, Load]], stage: int) -> Work:
    return Work(max(loads, key=lambda tasks: max(load.tokens for load in tasks.values())), stage)


def at(settings: TrainSettings, layout: Layout, work: Work, gpu: Gpu) -> dict[str, Any]:
    """What depends on the layout: `layout`, `memory`, `communication`, `step`. It fits where memory's `total` is at
    most its `usable`."""
    memory = memory_of(settings, layout, work)
    step = expected_step(settings, layout, work)
    moved, time = traffic(settings.model, layout, step), seconds(settings.model, layout, step, gpu)
    told = {"tokens": settings.stage(work.stage).tokens, "micro_batch_tokens": micro_batch(settings, layout, work)}
    return {
        "layout": asdict(layout),
        "memory": memory | {"total": sum(memory.values()), "usable": USABLE * gpu.memory},
        "communication": moved | {"total": sum(moved.values())},
        "step": told | _told(layout, step, time, gpu),
    }


def memory_of(settings: TrainSettings, layout: Layout, work: Work) -> dict[str, float]:
    """Bytes on a GPU by component, with the largest micro-batch, full of the largest samples."""
    pads, model, largest = PAD_ROWS * len(STREAMS), settings.model, work.largest
    tokens = micro_batch(settings, layout, work)
    rows = tuple(round((tokens / largest.tokens * n + PAD_ROWS) / layout.context) for n in largest.rows)
    total = round((tokens + pads) / layout.context)
    return (
        weight_bytes(model, layout)
        | activation_bytes(model, layout, total, rows[0] + rows[3])
        | {"data": 2 * data_bytes(model, rows)}  # type: ignore[arg-type]
    )


def _fits(settings: TrainSettings, layout: Layout, work: Work, gpu: Gpu) -> bool:
    return sum(memory_of(settings, layout, work).values()) <= USABLE * gpu.memory


def _change(settings: TrainSettings, gpus: int, work: Work, gpu: Gpu) -> Change | None:
    """The smallest change that fits; with more GPUs only where nothing else does. None when nothing would."""
    tried = candidates(settings, gpus, work.largest.tokens)
    return next((c for c in tried if _fits(c.settings, c.layout, work, gpu)), None)


def _told(layout: Layout, step: Step, time: Mapping[str, float], gpu: Gpu) -> dict[str, Any]:
    flops = sum(step.flops.values())
    return {
        "micro_batches": step.turns,
        "waiting": step.waiting,
        "flops_per_gpu": flops,
        "seconds": dict(time),
        "tokens_per_s": step.rows * layout.gpus / time["step"],
        "mfu": flops / time["step"] / gpu.peak,
    }
