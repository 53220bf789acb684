"""However the work is split, the gradients are those of one process: FSDP2, HSDP, AdaLN by rows, context parallelism.

Every way has processes without video and processes without audio among them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.parallel_worker import FLOAT8

ROUNDING = 2e-7
"""Largest difference of a gradient, whose own size is about 1, in float32."""


BF16_ROUNDING = 5e-3
"""The same where matrix products are in bfloat16, which has 8 bits."""


FLOAT8_ROUNDING = 1.5e-2
"""The same in float8, which has 3 to 4 bits."""


def differences(processes: int, *ways: str) -> dict[str, list[float]]:
    """What `parallel_worker` found: per way, the largest difference of a gradient, and of a weight after a step."""
    launch = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launch, f"--nproc-per-node={processes}", "-m", "tests.trainer.parallel_worker", *ways],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _check(found: dict[str, list[float]]) -> None:
    assert found.pop("initial") == [0.0]
    bf16 = found.pop("bf16")[0]
    assert bf16 < BF16_ROUNDING
    for kind in FLOAT8:
        assert bf16 < found.pop(kind)[0] < FLOAT8_ROUNDING, kind
    for way, (gradient, weight) in found.items():
        assert gradient < ROUNDING, (way, gradient)
        assert weight < 1e-3, (way, weight)  # of a step of 1e-2 that AdamW makes of the sign of tiny gradients


def test_two_processes():
    _check(differences(2, "fsdp", "gather", "selective", "attention", "context all"))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["triton", "triton, context all", "triton, grouped"])
def test_two_processes_with_fused_blocks(way):
    _check(differences(2, way))


@pytest.mark.slow
def test_four_processes():
    found = differences(4)
    assert len(found) == 14
    _check(found)
