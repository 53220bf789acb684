"""A training run in memory: what the loop moves and the checkpoint keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from manifests.errors import ConfigError
from pipeline import console
from trainer.base import load_base
from trainer.checkpoint import Progress, latest, restore, state_of
from trainer.data.latents import LatentSet
from trainer.data.mixture import mixture_weights
from trainer.data.stream import SampleStream
from trainer.ema import Ema
from trainer.fits import check_fits
from trainer.guard import Guard
from trainer.lora import add_adapters
from trainer.model.mmdit import MMDiT
from trainer.optim import Optimizer
from trainer.parallel import World, materialise, parallelize
from trainer.rebalance import read_mixture
from trainer.saver import Saver
from trainer.settings import TrainSettings, as_plain
from trainer.skips import Skip
from trainer.stop import Stop


@dataclass
class Run:
    """The model and its optimizer, the average, the guard, where training stands, and the stream it reads."""

    model: MMDiT
    optimizer: Optimizer
    ema: Ema
    guard: Guard
    progress: Progress
    stream: SampleStream
    latents: LatentSet
    saver: Saver
    stop: Stop
    out: Path
    world: World
    skipped: list[Skip] = field(default_factory=list)
    """The steps skipped in a row just now."""

    def save(self) -> None:
        """Begin a checkpoint of this moment; `saver.finish` waits for it. All ranks call it."""
        self.saver.save(self.progress, state_of(self.model, self.optimizer, self.ema, self.guard))


def start_run(settings: TrainSettings, out: Path, stage: int, latents: LatentSet, world: World) -> Run:
    """A run at the newest checkpoint of this stage, else at the end of the stage before, else at the beginning.

    Raises ConfigError when an earlier stage is missing or unfinished, or the latents do not fit the model.
    """
    _check_channels(settings, latents)
    with torch.device("meta"):
        model = MMDiT(settings.model)
        add_adapters(model, settings.lora)
    parallelize(model, world, settings.parallel, settings.precision)
    materialise(model, world.device, settings.seed)
    load_base(model, settings)
    optimizer, ema = Optimizer(model, settings.optim), Ema(model, settings.optim.ema)
    guard = Guard(settings.guard, world.device)
    here, before = latest(out, stage), latest(out, stage - 1) if stage > 1 else None
    for folder in (here, before):
        if folder is not None:
            check_fits(folder, settings, latents)
    if here is not None:
        progress = _continued(restore(here, model, optimizer, ema, guard, world), settings, world)
    elif before is not None:
        old = _finished(restore(before, model, optimizer, ema, guard, world), settings)
        progress = _fresh(settings, out, stage, latents, old)
        if settings.stage(stage).ema == "restart":
            ema.restart(model)
    elif stage > 1:
        raise ConfigError("train:stage", f"stage {stage} starts from stage {stage - 1}, which has no checkpoint yet")
    else:
        progress = _fresh(settings, out, stage, latents, None)
    infos = latents.samples("train")
    stream = SampleStream(infos, progress.mixture, settings.seed)  # type: ignore[arg-type]
    saver = Saver(out, world, settings.keep_last, settings.keep_every, settings.save_in_background)
    return Run(model, optimizer, ema, guard, progress, stream, latents, saver, Stop(world), out, world)


def _continued(progress: Progress, settings: TrainSettings, world: World) -> Progress:
    """With the settings of now, after saying which of them were others."""
    now = as_plain(settings)
    changed = [name for name in now if progress.settings.get(name) != now[name]]
    if changed and world.first:
        console.say(f"{', '.join(changed)}: not as in the checkpoint at step {progress.step}", "changed", "bold yellow")
    return replace(progress, settings=now)


def _fresh(settings: TrainSettings, out: Path, stage: int, latents: LatentSet, old: Progress | None) -> Progress:
    mixture = read_mixture(out, stage) or (old.mixture if old else first_mixture(settings, latents))
    if old and read_mixture(out, stage) is None:
        console.err.print(f"stage {stage} keeps the weights of stage {old.stage}: `klear-train rebalance` was not run")
    position = old.position if old else 0
    return Progress(stage, 0, position, mixture, as_plain(settings), latents.recipe)


def first_mixture(settings: TrainSettings, latents: LatentSet) -> Mapping[str, float]:
    """Stage 1's weights by `class/task`, from what the training split can serve."""
    weights = mixture_weights(latents.samples("train"), settings.mixture.alpha, settings.mixture.tasks)
    return {"/".join(capability): weight for capability, weight in weights.items()}


def _finished(old: Progress, settings: TrainSettings) -> Progress:
    steps = settings.stage(old.stage).steps
    if old.step < steps:
        message = f"stage {old.stage} stands at step {old.step} of {steps}: finish it first (train --stage {old.stage})"
        raise ConfigError("train:stage", message)
    return old


def _check_channels(settings: TrainSettings, latents: LatentSet) -> None:
    for name, what, has in (
        ("video_channels", "video", len(latents.video_stats.variance)),
        ("audio_channels", "audio", len(latents.audio_stats.variance)),
        ("text_dim", "captions", latents.text_width),
    ):
        channels = getattr(settings.model, name)
        if has not in (None, channels):
            raise ConfigError(
                "config:channels",
                f"model.{name} = {channels}, but {what} of the latents in {latents.folder} have {has} channels: set it "
                f"to {has}, or name other latents",
            )
