"""Blocks whose elementwise work is in Triton: the plain block's numbers. On a CPU Triton's interpreter runs them."""

from dataclasses import replace

import pytest
import torch

from tests.trainer.parallel_worker import READINGS
from trainer.data.sample import Sample
from trainer.documents import Conditions, Document
from trainer.model.chunks import chunks_of
from trainer.model.config import ModelConfig
from trainer.model.fused.heads import Source, to_heads
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, global_loss, loss_counts, media_losses
from trainer.packing import PackedBatch, pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.tasks import TASKS

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def twins(config, dtype=torch.float32, precision="fp32", **settings) -> list[MMDiT]:
    """A plain model and one with fused blocks, all weights random and equal."""
    models = []
    for elementwise in ("torch", "triton"):
        model = MMDiT(config)
        g = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(torch.randn(p.shape, generator=g) * (0.3 if p.dim() == 1 else p.shape[-1] ** -0.5))
                if "norm_qk" in name:
                    p.add_(1.0)
        world = World(0, 1, DEVICE)
        parallel = ParallelSettings(elementwise=elementwise, attention="math", **settings)
        parallelize(model.to(DEVICE, dtype), world, parallel, precision)
        models.append(model)
    return models


def outcome(model: MMDiT, batch: PackedBatch) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """The prediction and all gradients."""
    prediction = model(batch.packed)
    readings = {
        medium: replace(reading, weights=reading.weights.to(DEVICE), variance=reading.variance.to(DEVICE))
        for medium, reading in READINGS.items()
    }
    losses = media_losses(prediction, batch, readings)
    global_loss(losses, loss_counts(batch), ObjectiveSettings()).backward()
    return list(prediction), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def assert_equal(models: list[MMDiT], batch: PackedBatch, tolerance: float) -> None:
    (plain, expected), (fused, found) = (outcome(model, batch.to(DEVICE)) for model in models)
    for a, b, targets in zip(plain, fused, (batch.video, batch.audio)):
        rows = targets.carries_loss.bool().to(DEVICE)
        assert torch.allclose(a[rows], b[rows], atol=tolerance * a[rows].abs().max().item())
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        far = (gradient - found[name]).float().norm() / gradient.float().norm().clamp_min(1e-12)
        assert far < tolerance or gradient.norm() < 1e-6, (name, far.item())


@pytest.fixture
def mixed():
    """mixed(config): two documents of several noise levels; few rows, for the interpreter is slow."""
    return lambda config: pack([_small(0, "TI2AV", config), _small(1, "T2A", config)], config, pad_rows=1)


def _small(seed: int, task: str, config: ModelConfig) -> Document:
    g = torch.Generator().manual_seed(seed)
    video, audio = torch.randn(2, 1, 2, config.video_channels, generator=g), torch.randn(3, 5, generator=g)
    texts = [torch.randn(2, config.text_dim, generator=g) for _ in range(2)]
    spoken = torch.tensor(list(b"a"), dtype=torch.uint8)
    sample = Sample(f"{seed:032x}", "train", "sound", tuple(TASKS), video, audio, *texts, spoken)
    noise = [torch.randn(x.shape, generator=g) for x in (video, audio)]
    return Document(sample, TASKS[task], Conditions(0.3, 0.8, *noise))


UNEVEN = {"heads": 1, "width": 24, "modulation_rank": 3}


@pytest.mark.parametrize("changes", [{}, {"shared": True}, pytest.param(UNEVEN, marks=pytest.mark.slow)], ids=str)
def test_fused_equals_plain(config, mixed, changes):
    config = config.model_copy(update={"layers": 1, **changes})
    assert_equal(twins(config), mixed(config), 2e-5)


def test_queries_keys_and_values_are_three_tensors():
    """So `trainer/lengths.py` lays them out when it has plans made."""
    source = Source(
        torch.randn(2, 24, device=DEVICE), None, None, torch.ones(2, 4, device=DEVICE),
        torch.randn(2, 2, 4, device=DEVICE), None, chunks_of(torch.zeros(2, dtype=torch.int64)).to(DEVICE),
    )  # fmt: skip
    assert [x.stride() for x in to_heads([source], 2, 2)] == [(8, 4, 1)] * 3


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_fused_equals_plain_within_rounding_in_bf16(config, mixed, shared):
    config = config.model_copy(update={"layers": 1, "shared": shared})
    assert_equal(twins(config, torch.bfloat16), mixed(config), 6e-2)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "selective", "attention", "full"])
def test_fused_equals_plain_for_all_tasks(config, document, recompute):
    batch = pack([document(i, task, 0.1 + 0.2 * i) for i, task in enumerate(TASKS)], config)
    assert_equal(twins(config, recompute=recompute), batch, 2e-5)


def test_fused_without_documents(config):
    """A rank may get none: pad rows alone run through every kernel and leave zero gradients."""
    _, fused = twins(config.model_copy(update={"layers": 1}))
    _, gradients = outcome(fused, pack([], config, pad_rows=2).to(DEVICE))
    assert all(not g.any() for g in gradients.values()) and gradients
