"""What a run tells the world: TensorBoard scalars, a progress bar with rate and time left, a few numbers kept."""

import time
from pathlib import Path
from types import TracebackType

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline import console
from trainer.parallel import World

NAMES = ("video", "audio", "grad_norm")


class Metrics:
    """Use as a context. Values stay on the device until `log_every` steps are together: no wait in a step."""

    def __init__(self, out: Path, stage: int, steps: int, start: int, world: World) -> None:
        self.losses: list[dict[str, float]] = []
        self._first = world.first
        self._pending: list[torch.Tensor] = []
        self._samples = self._tokens = 0
        self._since = time.perf_counter()
        self._folder = out / "report" / "tensorboard" / f"stage-{stage}"
        self._progress = Progress(
            TextColumn(f"train stage {stage}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console.err,
            transient=True,
            disable=not (world.first and console.err.is_terminal),
        )
        self._task = self._progress.add_task("", total=steps, completed=start, text="")
        self._stage, self._steps, self._said = stage, steps, time.monotonic()

    def __enter__(self) -> "Metrics":
        if self._first:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder))
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()
        if self._first:
            self._writer.close()

    def add(self, step: int, values: torch.Tensor, samples: int, tokens: int, lr: float, log_every: int) -> None:
        """Note a step's values (3,), named as NAMES; every `log_every` steps read and write their means."""
        self._pending.append(values)
        self._samples += samples
        self._tokens += tokens
        self._progress.update(self._task, completed=step)
        if step % log_every == 0:
            self._flush(step, lr)

    def point(self, values: dict[str, float]) -> None:
        """Write a held-out measurement; `step` is its place."""
        if self._first:
            for name, value in values.items():
                if name != "step":
                    self._writer.add_scalar(f"heldout/{name}", value, int(values["step"]))

    def _flush(self, step: int, lr: float) -> None:
        seconds = time.perf_counter() - self._since
        # A step without rows of a modality has 0 / 0 there: left out of the mean.
        means = torch.stack(self._pending).nanmean(0).tolist()
        row = dict(zip(NAMES, means, strict=True))
        row |= {
            "step": step,
            "lr": lr,
            "samples_per_s": self._samples / seconds,
            "tokens_per_s": self._tokens / seconds,
        }
        self.losses.append(row)
        if self._first:
            for name, value in row.items():
                self._writer.add_scalar(f"train/{name}", value, step)
        rate = len(self._pending) / seconds
        text = f"video {row['video']:.3f} audio {row['audio']:.3f} {rate:.2f} steps/s"
        self._progress.update(self._task, text=text)
        if self._first and not console.err.is_terminal and time.monotonic() - self._said > console.QUIET_S:
            self._said = time.monotonic()
            left = (self._steps - step) / rate
            console.err.print(f"train stage {self._stage}: {step} of {self._steps}, {text}, {left:.0f} s left")
        self._pending, self._samples, self._tokens, self._since = [], 0, 0, time.perf_counter()
