"""Writing checkpoints beside the training: a copy is taken at once, files are written while steps go on."""

import json
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import asdict
from operator import methodcaller
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from manifests import files
from manifests.errors import MachineError
from trainer.checkpoint import PROGRESS, Progress, checkpoints, stage_folder, step_of
from trainer.parallel import World
from trainer.quiet import ALONE


class Saver:
    """One checkpoint at a time. All ranks call `save` together. As a context: its end waits for the files.

    Files go to a folder beside the final one. Once the files of all ranks are on disk (DCP syncs each, and tells every
    rank), the first process adds the progress, syncs, and gives the folder its final name: a reader sees all of a
    checkpoint or nothing, and the one before is deleted after that alone.
    DCP's planning runs in a thread while the training communicates, so it has a gloo group of its own: on the group of
    the gradients it would abort or hang both.
    keep_last newest checkpoints stay, and those at multiples of keep_every steps. background: else `save` waits.
    """

    def __init__(self, out: Path, world: World, keep_last: int, keep_every: int | None, background: bool) -> None:
        self._out, self._world = out, world
        self._keep_last, self._keep_every, self._background = keep_last, keep_every, background
        self._group = dist.new_group(backend="gloo") if world.size > 1 else None
        self._pending: tuple[Future, Path, Progress] | None = None
        # DCP's remark comes from its thread, when a `quietly` would be over.
        warnings.filterwarnings("ignore", message=ALONE)

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()

    def save(self, progress: Progress, state: Mapping[str, Any]) -> None:
        """Copy the state to host memory (weights may change after this returns) and begin to write it."""
        self.finish()
        partial = stage_folder(self._out, progress.stage) / f".partial-step-{progress.step:08d}"
        if self._world.first:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        if self._group is not None:
            dist.barrier(self._group)
        future = dcp.async_save(
            dict(state), checkpoint_id=partial, process_group=self._group, no_dist=self._group is None
        )
        assert isinstance(future, Future)  # of the upload: without a stager of our own, staging is done by now
        self._pending = (future, partial, progress)
        if not self._background:
            self.finish()

    def poll(self) -> None:
        """Finish the save under way if its files are written; each rank in its own time."""
        if self._pending is not None and self._pending[0].done():
            self.finish()

    def finish(self) -> None:
        """Wait for the save under way, if there is one, and give it its name.

        Raises MachineError when a file could not be written.
        """
        if self._pending is None:
            return
        future, partial, progress = self._pending
        self._pending = None
        try:
            future.result()
        except CheckpointException as error:
            cause = next(iter(error.failures.values()))[0]
            raise MachineError(
                "checkpoint:write", f"{partial} could not be written ({cause}); the one before it is whole"
            ) from error
        if self._world.first:
            note = json.dumps(asdict(progress), indent=1).encode()
            files.replace(partial / PROGRESS, methodcaller("write", note))
            files.publish_folder(partial, partial.with_name(partial.name.removeprefix(".partial-")))
            self._prune(progress.stage)

    def drop_after(self, stage: int, step: int) -> None:
        """Delete a stage's checkpoints beyond `step`: training goes another way from there. All ranks call it."""
        self.finish()
        if self._world.first:
            for folder in checkpoints(self._out, stage):
                if step_of(folder) > step:
                    shutil.rmtree(folder)
        self._world.barrier()

    def _prune(self, stage: int) -> None:
        """Delete older checkpoints, and what saves that were cut off have left."""
        for broken in stage_folder(self._out, stage).glob(".*-step-*"):
            shutil.rmtree(broken)
        for folder in checkpoints(self._out, stage)[: -self._keep_last]:
            if self._keep_every is None or step_of(folder) % self._keep_every:
                shutil.rmtree(folder)
