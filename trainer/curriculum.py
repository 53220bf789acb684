"""From stage to stage: evaluation in, the next stage's sampling weights out."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.checkpoint import latest, read_progress
from trainer.evaluate import read_report
from trainer.rebalance import rebalance, scores_of, write_mixture
from trainer.settings import TrainSettings


def rebalance_stage(settings: TrainSettings, out: Path, stage: int) -> dict[str, Any]:
    """Write the mixture of stage + 1 from this stage's report and weights; returns the table.

    Raises ConfigError when the stage was not trained or not evaluated.
    """
    report = read_report(out, stage)
    folder = latest(out, stage)
    old = read_progress(folder).mixture if folder else {}
    changes = rebalance(old, scores_of(report), settings.rebalance)
    path = write_mixture(out, stage + 1, changes)
    return {
        "stage": stage,
        "next_stage": stage + 1,
        "mixture": str(path.relative_to(out)),
        "changes": [asdict(change) for change in changes],
    }
