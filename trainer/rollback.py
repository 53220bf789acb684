"""Going back: when steps are skipped again and again, to before them, and on without their samples."""

from collections.abc import Sequence
from dataclasses import replace

from manifests.errors import KlearError
from pipeline import console
from trainer.checkpoint import latest, restore, step_of
from trainer.run import Run
from trainer.settings import TrainSettings
from trainer.skips import Skip, read_skips, report_skips


class DivergedError(KlearError):
    """Training cannot go on by itself."""


def look_back(run: Run, settings: TrainSettings) -> bool:
    """Name and report the steps skipped since the last look; True when training has gone back because of them.

    All ranks call it together. Raises DivergedError when it would go back once more than `guard.rollbacks` allows.
    """
    seen = read_skips(run.guard, run.world)
    if run.world.first:
        report_skips([skip for skip in seen if skip], run.out, run.progress.stage)
    for skip in seen:
        run.skipped = [*run.skipped, skip] if skip else []
        if len(run.skipped) == settings.guard.patience:
            _go_back(run, settings, run.skipped)
            run.skipped = []
            return True
    return False


def _go_back(run: Run, settings: TrainSettings, skips: Sequence[Skip]) -> None:
    """To the newest checkpoint before the first of these steps; their samples are left out of the stream from now on.

    Without one in this stage the weights stay: skipped steps did not move them.
    """
    progress, guard = run.progress, settings.guard
    if progress.rollbacks >= guard.rollbacks:
        raise DivergedError(
            "guard:diverged",
            f"stage {progress.stage} was taken back {progress.rollbacks} times and steps {skips[0].step + 1} to "
            f"{skips[-1].step + 1} were skipped again ({skips[-1].reason}): look at the samples in "
            f"{run.out}/report/skipped-stage-{progress.stage}.jsonl; then lower the learning rate, or raise "
            f"guard.spike ({guard.spike}) or guard.rollbacks ({guard.rollbacks})",
        )
    run.saver.finish()
    run.world.barrier()
    folder = latest(run.out, progress.stage, at_most=skips[0].step)
    restored = progress
    if folder is not None:
        restored = restore(folder, run.model, run.optimizer, run.ema, run.guard, run.world)
        run.saver.drop_after(progress.stage, step_of(folder))
    left_out = sorted({*progress.left_out, *(position for skip in skips for position in skip.positions)})
    run.progress = replace(restored, left_out=left_out, rollbacks=progress.rollbacks + 1)
    if run.world.first:
        console.say(f"to step {restored.step}, without {len(left_out)} positions of the stream", "back", "bold yellow")
