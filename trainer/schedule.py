"""The learning rate of every step of a stage."""

import math

from trainer.settings import StageSettings


def learning_rate(stage: StageSettings, step: int) -> float:
    """Of the update number `step`, from 0: linear warm-up, then a cosine from lr down to lr * final_lr."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    progress = (step - stage.warmup) / max(1, stage.steps - 1 - stage.warmup)
    low = stage.lr * stage.final_lr
    return low + (stage.lr - low) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
