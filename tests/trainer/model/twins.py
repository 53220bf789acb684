"""A plain model and one whose blocks work in Triton, and what both make of a micro-batch."""

from dataclasses import replace

import torch

from tests.trainer.parallel_worker import READINGS
from trainer.data.sample import Sample
from trainer.documents import Conditions, Document
from trainer.lora import add_adapters
from trainer.model.config import ModelConfig
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, global_loss, loss_counts, media_losses
from trainer.packing import PackedBatch, pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.tasks import TASKS

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def twins(config, dtype=torch.float32, precision="fp32", products="each", lora=None, **settings) -> list[MMDiT]:
    """A plain model and one with fused blocks, all weights random and equal."""
    models = []
    for elementwise in ("torch", "triton"):
        model = MMDiT(config)
        add_adapters(model, lora)
        g = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(torch.randn(p.shape, generator=g) * (0.3 if p.dim() == 1 else p.shape[-1] ** -0.5))
                if "norm_qk" in name:
                    p.add_(1.0)
        world = World(0, 1, DEVICE)
        parallel = ParallelSettings(attention="math", **settings)
        if elementwise == "triton":
            parallel = parallel.model_copy(update={"elementwise": elementwise, "products": products})
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
    """Both make the same of it, but for a share of `tolerance`."""
    (plain, expected), (fused, found) = (outcome(model, batch.to(DEVICE)) for model in models)
    for a, b, targets in zip(plain, fused, (batch.video, batch.audio)):
        rows = targets.carries_loss.bool().to(DEVICE)
        assert torch.allclose(a[rows], b[rows], atol=tolerance * a[rows].abs().max().item())
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        off = (gradient - found[name]).float().norm()
        assert off < tolerance * gradient.float().norm() or off < 1e-6, (name, off.item(), gradient.norm().item())


def mixed(config: ModelConfig) -> PackedBatch:
    """Two documents of several noise levels."""
    return pack([small_document(0, "TI2AV", config), small_document(1, "T2A", config)], config, pad_rows=1)


def small_document(seed: int, task: str, config: ModelConfig) -> Document:
    """Few rows, for the interpreter is slow."""
    g = torch.Generator().manual_seed(seed)
    video, audio = torch.randn(2, 1, 2, config.video_channels, generator=g), torch.randn(3, 5, generator=g)
    texts = [torch.randn(2, config.text_dim, generator=g) for _ in range(2)]
    spoken = torch.tensor(list(b"a"), dtype=torch.uint8)
    sample = Sample(f"{seed:032x}", "train", "sound", tuple(TASKS), video, audio, *texts, spoken)
    noise = [torch.randn(x.shape, generator=g) for x in (video, audio)]
    return Document(sample, TASKS[task], Conditions(0.3, 0.8, *noise))
