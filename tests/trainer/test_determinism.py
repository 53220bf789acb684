"""`--deterministic`: kernels that repeat, and an error for an operation that has none."""

import os
import shutil
from collections.abc import Iterator

import pytest
import torch

from trainer.checkpoint import latest, load_ema
from trainer.loop import train
from trainer.model.mmdit import MMDiT

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(autouse=True)
def _restored(monkeypatch) -> Iterator[None]:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    kept = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = kept
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def _twice(settings, out) -> list[torch.Tensor]:
    found = []
    for _ in range(2):
        train(settings, out, 1)
        model = MMDiT(settings.model)
        load_ema(latest(out, 1), model)
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        shutil.rmtree(out / "checkpoints")
    return found


def test_training_runs_and_repeats_with_deterministic_kernels(out, tiny):
    first, second = _twice(tiny.model_copy(update={"deterministic": True}), out)
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
    assert torch.equal(first, second)


def test_it_is_off_unless_asked_for(out, tiny):
    train(tiny, out, 1)
    assert not torch.are_deterministic_algorithms_enabled()


@gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_repeats_too(out, tiny, precision):
    first, second = _twice(tiny.model_copy(update={"deterministic": True, "precision": precision}), out)
    assert torch.equal(first, second)
