"""What casting to float8 reads and writes: bytes that bf16 does not have to move (`trainer/model/fused/casts.py`)."""

from trainer.model.config import ModelConfig
from trainer.plan.trained import linears

READ, WRITTEN = 2, 1
"""Bytes of a bf16 and of a float8 value."""


def cast_bytes(config: ModelConfig, rows: float, passes: float = 1, again: bool = False) -> float:
    """Bytes in one block whose four linears work on `rows` rows in all, in `passes` micro-batches, each in two passes.

    Inputs and gradients are read once and written twice, as they lie and turned; whoever makes them knows the largest
    value, but for attention, whose result is read for it. Weights are read for it, and cast in each pass. again: the
    forward pass runs a second time.
    """
    sides = linears(config).values()
    times = 2 if again else 1
    inputs, outputs = sum(given for _, given in sides), sum(out for out, _ in sides)
    a_row = (READ + 2 * WRITTEN) * (times * inputs + outputs) + times * READ * config.width
    a_weight = times * (2 * READ + WRITTEN) + READ + WRITTEN
    return rows * a_row + passes * a_weight * sum(out * given for out, given in sides)
