"""What a run tells the world: every `log_every` steps a row of numbers of all processes, to the sinks and the eye."""

import math
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from rich.live import Live

from pipeline import console
from trainer.feed import Window
from trainer.observe.board import Board
from trainer.observe.breakdown import Breakdown
from trainer.observe.sinks import JsonLines, Sink, TensorBoard, WandB, lines_file, scalars_of
from trainer.parallel import World
from trainer.run import Run
from trainer.settings import TrainSettings, as_plain

GIB = 2**30
TOLD = ("imbalance", "waiting", "fill")
"""Numbers of a window whose means join the row: see `trainer.partition.Partition`."""


class Metrics:
    """Use as a context. Values stay on the device until `log_every` steps are together: no wait in a step.

    peak: FLOP/s of one device, for MFU; None where it is not known. breakdown: for `train_step` to tell.
    """

    def __init__(self, run: Run, settings: TrainSettings, peak: float | None = None) -> None:
        self.losses: list[dict[str, Any]] = []
        self.breakdown = Breakdown(_classes(run), run.model, run.world)
        self._run, self._settings, self._world, self._peak = run, settings, run.world, peak
        self._stage, self._step = run.progress.stage, run.progress.step
        self._steps = settings.stage(self._stage).steps
        self._board = Board(self._stage, self._steps, self._step)
        self._sinks: list[Sink] = []
        self._begin()

    def __enter__(self) -> "Metrics":
        self._open = ExitStack()
        if not self._world.first:
            return self
        out, stage = self._run.out, self._stage
        self._lines = JsonLines(lines_file(out, stage), self._step)
        # A stage that begins measures held-out loss at step 0 anew.
        self._sinks.append(TensorBoard(out / "report" / "tensorboard" / f"stage-{stage}", self._step or -1))
        if self._settings.log.wandb is not None:
            self._sinks.append(WandB(self._settings.log.wandb, out, stage, as_plain(self._settings)))
        for sink in self._sinks:
            self._open.callback(sink.close)
        if console.err.is_terminal:
            self._open.enter_context(Live(self._board, console=console.err, transient=True, refresh_per_second=4))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Around work that is no training step (held-out loss): its time is not in the rates."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def add(self, step: int, values: torch.Tensor, window: Window, lr: float) -> None:
        """Note a step's values (3,): video and audio loss, gradient norm, NaN where the step was skipped.

        window: what it was fed. A step that was done before (training went back) takes the place of its first run.
        Every `log_every` steps, and at the last, all ranks put the row together.
        """
        if step <= self._step:
            self._rewind(step - 1)
        self._step = self._board.step = step
        self._pending.append(values)
        for name in TOLD:
            self._told[name] += getattr(window, name)
        self._samples += len(window.draws)
        self._tokens += window.tokens
        self._flops += window.flops
        self._waited += window.waited_s
        self._lost += len(window.lost)
        if step % self._settings.log_every == 0 or step == self._steps:
            self._flush(step, lr)

    def point(self, values: dict[str, float]) -> None:
        """Write a held-out measurement; `step` is its place."""
        scalars = {f"heldout/{name}": value for name, value in values.items() if name != "step"}
        for sink in self._sinks:
            sink.write(int(values["step"]), scalars)

    def _begin(self) -> None:
        """A new interval."""
        self._pending: list[torch.Tensor] = []
        self._told = dict.fromkeys(TOLD, 0.0)
        self._samples = self._tokens = 0
        self._flops = self._waited = 0.0
        self._lost = 0
        self._since = time.perf_counter()

    def _rewind(self, step: int) -> None:
        self._begin()
        self.breakdown.clear()
        self.losses = [row for row in self.losses if row["step"] <= step]
        if self._world.first:
            self._lines.rewind(step)
            for sink in self._sinks:
                sink.rewind(step)

    def _flush(self, step: int, lr: float) -> None:
        steps = torch.stack(self._pending).double().cpu()
        row = self._row(step, lr, steps)
        self.losses.append(row)
        full = row | self.breakdown.collect()
        if self._world.first:
            self._board.row = full
            self._lines.append(full)
            scalars = scalars_of(full)
            for sink in self._sinks:
                sink.write(step, scalars)
            self._say()
        self._begin()

    def _row(self, step: int, lr: float, steps: torch.Tensor) -> dict[str, Any]:
        # A step without rows of a modality has 0 / 0 there: left out of the mean, as are skipped steps.
        video, audio, norm = steps.nanmean(0).tolist()
        count, seconds = len(steps), time.perf_counter() - self._since
        memory, waited = _largest(self._world, [_memory(self._world.device) / GIB, self._waited])
        flops, lost = self._world.sum(_numbers([self._flops, self._lost], self._world)).tolist()
        rate = flops / seconds / self._world.size
        return {
            "stage": self._stage,
            "step": step,
            "steps": self._steps,
            "over": count,
            "time": time.time(),
            "loss": _weighted(self._settings, video, audio),
            "video": video,
            "audio": audio,
            "grad_norm": norm,
            "lr": lr,
            "steps_per_s": count / seconds,
            "samples_per_s": self._samples / seconds,
            "tokens_per_s": self._tokens / seconds,
            "tokens_per_s_device": self._tokens / seconds / self._world.size,
            "seconds_per_step": seconds / count,
            "data_seconds_per_step": waited / count,
            "data_percent": 100 * waited / seconds,
            "tflops": rate / 1e12 if rate else None,
            "mfu_percent": 100 * rate / self._peak if rate and self._peak else None,
            "memory_gib": memory,
            "skipped": int(steps[:, 2].isnan().sum()),
            "unreadable": math.ceil(lost / self._world.context),
            "processes": self._world.size,
        } | {name: total / count for name, total in self._told.items()}

    def _say(self) -> None:
        """One line a row, where no terminal shows the table."""
        if not console.err.is_terminal:
            console.err.print(self._board.line(), soft_wrap=True)


def _classes(run: Run) -> list[str]:
    """The audio classes that training can meet: of the mixture's capabilities."""
    return sorted({name.rpartition("/")[0] for name in run.progress.mixture})


def _weighted(settings: TrainSettings, video: float, audio: float) -> float:
    """The step's loss; a medium that had no rows adds nothing."""
    o = settings.objective
    both = [w * x for w, x in ((o.video_weight, video), (o.audio_weight, audio)) if math.isfinite(x)]
    return sum(both) if both else math.nan


def _memory(device: torch.device) -> int:
    """Peak bytes of this process so far: of tensors on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_stats(device)["active_bytes.all.peak"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _largest(world: World, values: list[float]) -> list[float]:
    """Each value's largest over the ranks."""
    tensor = _numbers(values, world)
    if world.size > 1:
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor.tolist()


def _numbers(values: list[float], world: World) -> torch.Tensor:
    """Float64, on the device, as a collective takes them."""
    return torch.tensor(values, dtype=torch.float64, device=world.device)
