"""`plan`: parameters, FLOPs, memory, traffic and time of a run on GPUs that need not be there; what does not fit is
refused, with the smallest change that would."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from manifests.errors import ConfigError
from trainer.batches import load_of
from trainer.clocks import VIDEO_FPS, audio_latents_for, video_frames, video_latents_for
from trainer.data.sample import SampleInfo
from trainer.flops import Load, training_cost, training_flops
from trainer.gpus import USABLE, Gpu, gpu_named
from trainer.model.count import count_parameters
from trainer.model.layout import PAD_ROWS, STREAMS
from trainer.partition import partition
from trainer.patches import CELL
from trainer.plan_memory import activation_bytes, counted, data_bytes, weight_bytes
from trainer.plan_recipe import Change, Recipe, changes, recipe_of
from trainer.plan_time import Step, seconds, traffic
from trainer.settings import TrainSettings
from trainer.tasks import TASKS

SAID_PER_SECOND = 15
"""Bytes of a transcript a second: fast speech."""


@dataclass(frozen=True)
class Clip:
    """The sample to plan for. size: pixels. text: tokens of each caption."""

    width: int
    height: int
    seconds: float
    text: int = 512

    def info(self) -> SampleInfo:
        """Its latents and tokens. The picture is cut to whole cells, the duration to the video's frames."""
        latents = video_latents_for(self.seconds)
        duration = video_frames(latents) / VIDEO_FPS
        return SampleInfo(
            "clip",
            "single_speech",
            tuple(TASKS),
            video=(latents, self.height // CELL, self.width // CELL),
            audio=audio_latents_for(duration),
            video_text=self.text,
            audio_text=self.text,
            speech=round(SAID_PER_SECOND * duration),
            seconds=duration,
        )


def plan(settings: TrainSettings, gpus: int, gpu: str, clips: Sequence[Clip] = (), stage: int = 1) -> dict[str, Any]:
    """The plan, JSON-ready, for the largest of the clips; `flops` are of all of them.

    `fits` says whether it can run, `change` what would make it run (for --set), `after` memory and step with that.
    clips: by default the largest that the settings encode. Raises ConfigError for numbers that do not divide.
    """
    kind = gpu_named(gpu)
    clips = clips or [Clip(settings.encode.width, settings.encode.height, settings.encode.max_s)]
    every = [{name: load_of(c.info(), task, settings.model.patch) for name, task in TASKS.items()} for c in clips]
    loads = max(every, key=lambda tasks: max(load.tokens for load in tasks.values()))
    largest = max(loads.values(), key=lambda load: load.tokens)
    recipe = recipe_of(settings, gpus, largest.tokens)
    memory = memory_of(settings, recipe, largest)
    fits = sum(memory.values()) <= USABLE * kind.memory
    change = () if fits else _change(settings, recipe, largest, kind)
    return {
        "parameters": count_parameters(settings.model) | {"items": counted(settings.model)},
        "clips": [
            asdict(clip)
            | {"tokens": {name: load.tokens for name, load in tasks.items()}}
            | {"flops": {name: training_flops(load, settings.model) for name, load in tasks.items()}}
            for clip, tasks in zip(clips, every, strict=True)
        ],
        "gpu": asdict(kind),
        **_at(settings, recipe, loads, largest, kind, stage),
        "fits": fits,
        "change": [c.setting for c in change],
        "after": _at(settings, change[-1].recipe, loads, largest, kind, stage) if change else None,
    }


def _at(
    settings: TrainSettings, recipe: Recipe, loads: Mapping[str, Load], largest: Load, gpu: Gpu, stage: int
) -> dict[str, Any]:
    """What depends on the recipe."""
    memory = memory_of(settings, recipe, largest)
    step = expected_step(settings, recipe, loads, stage)
    moved, time = traffic(settings.model, recipe, step), seconds(settings.model, recipe, step, gpu)
    return {
        "recipe": asdict(recipe),
        "memory": memory | {"total": sum(memory.values()), "usable": USABLE * gpu.memory},
        "communication": moved | {"total": sum(moved.values())},
        "step": _told(settings, recipe, step, time, gpu, stage),
    }


def memory_of(settings: TrainSettings, recipe: Recipe, largest: Load) -> dict[str, float]:
    """Bytes on a GPU by component, with a full micro-batch of the largest samples."""
    pads, model = PAD_ROWS * len(STREAMS), settings.model
    count = recipe.micro_tokens / largest.tokens
    rows = tuple(round((count * n + PAD_ROWS) / recipe.context) for n in largest.rows)
    total = round((recipe.micro_tokens + pads) / recipe.context)
    return (
        weight_bytes(model, recipe)
        | activation_bytes(model, recipe, total, rows[0] + rows[3])
        | {"data": 2 * data_bytes(model, rows)}  # type: ignore[arg-type]
    )


def _change(settings: TrainSettings, recipe: Recipe, largest: Load, gpu: Gpu) -> tuple[Change, ...]:
    """The smallest change that fits; with more GPUs only where nothing else does. Empty when nothing would."""
    heads = settings.model.heads
    for tried in _candidates(recipe, heads, largest.tokens):
        if sum(memory_of(settings, tried[-1].recipe, largest).values()) <= USABLE * gpu.memory:
            return tried
    return ()


def _candidates(recipe: Recipe, heads: int, document: int) -> Iterator[tuple[Change, ...]]:
    yield from changes(recipe, heads, document)
    whole = recipe.shard == recipe.gpus
    for factor in (2, 4, 8, 16, 32, 64, 128):
        more = replace(recipe, gpus=recipe.gpus * factor, shard=recipe.shard * (factor if whole else 1))
        first = Change(f"--gpus {more.gpus}", more)
        yield (first,)
        yield from ((first, *rest) for rest in changes(more, heads, document))


def expected_step(settings: TrainSettings, recipe: Recipe, loads: Mapping[str, Load], stage: int) -> Step:
    """A step of `stage`: samples by the weights of the tasks, as many as its tokens hold, split as the feed does."""
    budget, cost = settings.stage(stage).tokens, training_cost(settings.model)
    drawn = _samples(settings.mixture.tasks, loads, budget)
    batch = settings.batch.model_copy(update={"micro_tokens": recipe.micro_tokens})
    split = partition([d.tokens for d in drawn], [cost(d) for d in drawn], recipe.data_size, batch)
    everything = sum(drawn, Load())
    flops = {part: n // recipe.gpus for part, n in training_flops(everything, settings.model).items()}
    turns = len(split.slots[0])
    groups = 1 + 2 * len(drawn) / (turns * recipe.data_size)
    return Step(everything.tokens / recipe.gpus, turns, flops, split.waiting, groups)


def _samples(weights: Mapping[str, float], loads: Mapping[str, Load], budget: int) -> list[Load]:
    """Samples of the tasks in proportion to their weights, spread evenly, that fit the budget; at least one."""
    shares = {name: weights.get(name, 0.0) for name in loads if weights.get(name, 0.0) > 0}
    if not shares:
        raise ConfigError("config:mixture", f"no task has a weight in mixture.tasks = {dict(weights)}")
    drawn: list[Load] = []
    total, taken = 0, dict.fromkeys(shares, 0)
    while True:
        # The task that is furthest behind its share.
        name = max(shares, key=lambda name: shares[name] * (len(drawn) + 1) / sum(shares.values()) - taken[name])
        total += loads[name].tokens
        if drawn and total > budget:
            return drawn
        drawn.append(loads[name])
        taken[name] += 1


def _told(
    settings: TrainSettings, recipe: Recipe, step: Step, time: Mapping[str, float], gpu: Gpu, stage: int
) -> dict[str, Any]:
    flops = sum(step.flops.values())
    return {
        "tokens": settings.stage(stage).tokens,
        "micro_batches": step.turns,
        "waiting": step.waiting,
        "flops_per_gpu": flops,
        "seconds": dict(time),
        "tokens_per_s": step.rows * recipe.gpus / time["step"],
        "mfu": flops / time["step"] / gpu.peak,
    }


def clips_of(settings: TrainSettings, texts: Sequence[str], duration: float | None) -> list[Clip]:
    """Clips of these sizes and this duration; what is not given is the largest that the settings encode."""
    encode = settings.encode
    pairs = [_size(text) for text in texts] or [(encode.width, encode.height)]
    return [Clip(width, height, duration or encode.max_s) for width, height in pairs]


def _size(text: str) -> tuple[int, int]:
    """`848x480` to (848, 480). Raises ConfigError for anything else."""
    parts: Sequence[str] = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) >= CELL for part in parts):
        raise ConfigError("config:size", f"--size {text!r}: write WIDTHxHEIGHT in pixels, e.g. 848x480")
    return int(parts[0]), int(parts[1])
