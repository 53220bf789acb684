"""Steps of the peer, diffusers' MiniMaxH3Transformer3DModel: the fastest public single-tower audio-video model."""

from typing import Any

import torch
from torch.nn import functional

from bench.step.running import Running, running
from bench.step.sizes import Sizes
from trainer.packing import PackedBatch

NAME = "MiniMax-H3 (diffusers)"


def peer_model(sizes: Sizes, batch: PackedBatch, device: torch.device) -> Any:
    """The peer for inputs of these channels: compiled per block, cuDNN attention, all bf16.

    Compiled for the one length that comes first: call `torch._dynamo.reset()` before another, or it would be compiled
    again for any length, which is slower.
    """
    from diffusers import MiniMaxH3Transformer3DModel

    torch.manual_seed(0)
    with device:
        model = MiniMaxH3Transformer3DModel(
            num_attention_heads=sizes.heads,
            attention_head_dim=sizes.head,
            hidden_size=sizes.width,
            num_layers=sizes.layers,
            num_refiner_layers=0,
            ffn_dim=sizes.ffn,
            in_channels=batch.packed.video.shape[1],
            audio_in_channels=batch.packed.audio.shape[1],
            patch_size=(1, 1, 1),
            text_dim=batch.packed.video_text.shape[1],
            time_embed_hidden_dim=sizes.width,
            time_embed_dim=sizes.width // 2,
            rope_freq_dim=sizes.head // 8,
        )
    model.to(torch.bfloat16)
    if device.type == "cuda":
        model.set_attention_backend("_native_cudnn")
        model.compile_repeated_blocks(fullgraph=True)
    return model


def peer_steps(sizes: Sizes, batch: PackedBatch, device: torch.device) -> Running:
    """The peer on the same tokens and noise levels."""
    model = peer_model(sizes, batch, device)
    inputs = {name: x.to(device) for name, x in peer_inputs(batch).items()}
    targets = [(given, target.to(device)) for given, target in _targets(batch)]

    def loss_of() -> torch.Tensor:
        outputs = model(**inputs, return_dict=False)
        losses = [
            functional.mse_loss(out[0, given:].float(), target)
            for out, (given, target) in zip(outputs, targets, strict=True)
        ]
        return losses[0] + losses[1]

    return running(model, loss_of)


def peer_inputs(batch: PackedBatch) -> dict[str, torch.Tensor]:
    """One packed sequence [video; text; audio] without our pad rows; a timestep for each of our noise levels."""
    v, tv, ta, a = batch.packed.lengths[0]
    pieces = torch.arange(v + tv + ta + a).split([v, tv + ta, a])
    rows = batch.packed.order[: v + tv + ta + a]
    levels = torch.cat(batch.packed.group)[rows]
    text = torch.cat([batch.packed.video_text[:tv], batch.packed.audio_text[:ta]])[None]
    return {
        "hidden_states": batch.packed.video[None, :v].bfloat16(),
        "audio_hidden_states": batch.packed.audio[None, :a].bfloat16(),
        "encoder_hidden_states": text.bfloat16(),
        "timestep": batch.packed.sigmas,
        "timestep_indices": levels,
        "token_tags": torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([v, tv + ta, a])),
        "position_ids": torch.cat(batch.packed.positions)[rows],
        "video_indices": pieces[0],
        "text_indices": pieces[1],
        "audio_indices": pieces[2],
    }


def _targets(batch: PackedBatch) -> list[tuple[int, torch.Tensor]]:
    """Of each medium: how many of its first rows are given clean, and the velocity of the others."""
    found = []
    for targets, count in ((batch.video, batch.packed.lengths[0][0]), (batch.audio, batch.packed.lengths[0][3])):
        given = int((targets.sigma[:count] == 0).sum())
        found.append((given, (targets.noise - targets.clean)[given:count]))
    return found
