"""Steps of our model."""

import torch

from bench.step.running import Running, running
from bench.step.variants import Variant
from trainer.model.config import ModelConfig
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, Reading, global_loss, loss_counts, media_losses
from trainer.packing import PackedBatch
from trainer.parallel import World, parallelize, precision_context


def our_model(config: ModelConfig, device: torch.device, variant: Variant) -> MMDiT:
    """Our model, compiled on a GPU."""
    torch.manual_seed(0)
    with device:
        model = MMDiT(config)
    init_weights(model, 0)
    if not variant.master:
        model.bfloat16()
    return parallelize(model, World(0, 1, device), variant.settings(device.type == "cuda"), "bf16")


def our_steps(
    config: ModelConfig, batch: PackedBatch, device: torch.device, variant: Variant, update: bool = True
) -> Running:
    """Our model on this batch; predicts the velocity. update: with AdamW."""
    model = our_model(config, device, variant)
    channels = {"video": config.patch_channels, "audio": config.audio_channels}
    ones = {medium: torch.ones(count, device=device) for medium, count in channels.items()}
    readings = {medium: Reading("v", False, one, one) for medium, one in ones.items()}
    on_device, settings = batch.to(device), ObjectiveSettings()

    def loss_of() -> torch.Tensor:
        with precision_context("bf16" if variant.master else "fp32", device):
            output = model(on_device.packed)
        return global_loss(media_losses(output, on_device, readings), loss_counts(on_device), settings)

    return running(model, loss_of, update, variant.own_adamw)
