"""Profiles and memory snapshots of a running stage, asked for in the settings or by touching a file.

    touch OUT/profile     a trace of the next steps of the first process, OUT/report/profile/*.json.gz (chrome://tracing)
    touch OUT/snapshot    its GPU memory over the next steps, OUT/report/memory/*.pickle (pytorch.org/memory_viz)

The files are looked for when numbers are logged, by the first process alone, and removed when heard: a file reaches a
run on any machine that sees OUT, where a signal needs the right process of the right node.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch
from pydantic import Field
from torch.profiler import ProfilerActivity

from pipeline import console
from pipeline.settings import Settings
from trainer.parallel import World


class ProfileSettings(Settings):
    """start: profile after this many updates of the stage, None for only when asked. steps: so many in one trace."""

    start: int | None = Field(default=None, ge=0)
    steps: int = Field(default=3, ge=1)


class Triggers:
    """Use as a context; `after` every step. Other processes than the first do nothing."""

    def __init__(self, settings: ProfileSettings, out: Path, stage: int, world: World) -> None:
        self._settings, self._out, self._stage, self._world = settings, out, stage, world
        self._running: dict[str, tuple[int, Callable[[], None]]] = {}

    def __enter__(self) -> "Triggers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """What is still running is written with the steps it has."""
        for _, end in self._running.values():
            end()

    def after(self, step: int, look: bool) -> None:
        """`step` updates are done. look: whether to look for the files now."""
        if not self._world.first:
            return
        for name in [name for name, (last, _) in self._running.items() if step >= last]:
            self._running.pop(name)[1]()
        if step == self._settings.start or (look and self._asked("profile")):
            self._begin("profile", step, self._profile)
        if look and self._asked("snapshot"):
            if self._world.device.type == "cuda":
                self._begin("snapshot", step, self._record)
            else:
                console.say("there is none on a CPU: it is a record of a GPU's allocations", "memory snapshot", "bold")

    def _asked(self, name: str) -> bool:
        path = self._out / name
        found = path.is_file()
        path.unlink(missing_ok=True)
        return found

    def _begin(self, name: str, step: int, start: Callable[[Path], Callable[[], None]]) -> None:
        if name in self._running:
            return
        folder, ending = {"profile": ("profile", "json.gz"), "snapshot": ("memory", "pickle")}[name]
        path = self._out / "report" / folder / f"stage-{self._stage}-after-step-{step:08d}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write = start(path)

        def end() -> None:
            write()
            console.say(str(path), name, "bold")

        self._running[name] = (step + self._settings.steps, end)

    def _profile(self, path: Path) -> Callable[[], None]:
        on_gpu = [ProfilerActivity.CUDA] if self._world.device.type == "cuda" else []
        profiler = torch.profiler.profile(activities=[ProfilerActivity.CPU, *on_gpu], record_shapes=True)
        profiler.start()

        def write() -> None:
            profiler.stop()
            profiler.export_chrome_trace(str(path))

        return write

    def _record(self, path: Path) -> Callable[[], None]:
        torch.cuda.memory._record_memory_history(max_entries=100_000)

        def write() -> None:
            torch.cuda.memory._dump_snapshot(str(path))
            torch.cuda.memory._record_memory_history(enabled=None)

        return write
