"""Seconds of a training step: ours and the fastest public single-tower audio-video transformer's, in turn.

The peer is diffusers' MiniMaxH3Transformer3DModel: compiled per block, cuDNN attention, plain bf16 weights and AdamW
states. Ours has the same width, heads, layers, tokens and (to a few percent, printed) parameters. Both take a whole
step: forward, loss, backward, fused AdamW; learning rate 0, so that values stay finite and typical (NaN and zeros draw
less power and run faster). Sustained ceilings of the same card in the same run stand beside: GEMM, attention, copy.

    python -m bench.train_step --record            # on a GPU; --float8 none tensorwise rowwise: in turn with bf16
    python -m bench.train_step --small             # a few tokens on a CPU: that it runs, no figures
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import torch
from torch.nn import functional

from bench.harness import record
from bench.markdown import table
from trainer.data.sample import Sample
from trainer.divides import Float8
from trainer.documents import Conditions, Document
from trainer.flops import batch_load, training_flops
from trainer.model.config import BytesConfig, ModelConfig, RopeConfig
from trainer.model.init import init_weights
from trainer.model.kernels import attend
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, Reading, global_loss, loss_counts, media_losses
from trainer.packing import PackedBatch, pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.tasks import TASKS

PEAK = 989e12
"""Dense bf16 FLOP/s of an H100 or H200 SXM by the vendor's datasheet: what MFU is counted against."""
VIDEO_TEXT, AUDIO_TEXT, AUDIO = 512, 232, 216
GRIDS = {9_152: (16, 16, 32), 32_192: (16, 32, 61)}
"""Video latents (T, H, W) that fill the rest of these many tokens: about 480p and 832p at 5 s, two by two patches."""

Step = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Sizes:
    """width, layers, head: of both models. ffn: of the peer's SwiGLU; ours has two matrices of 1.5 times that."""

    width: int = 3072
    layers: int = 8
    head: int = 128
    ffn: int = 8192

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.width // self.head

    def ours(self, shared: bool = True) -> ModelConfig:
        """Our model of that size; AdaLN of a rank that gives it about the peer's AdaLN parameters."""
        third = self.head // 3 // 2 * 2
        return ModelConfig(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            ffn=self.ffn * 3 // 2,
            modulation_rank=self.width // 3,
            shared=shared,
            video_channels=96,
            audio_channels=40,
            text_dim=1024,
            bytes=BytesConfig(width=128),
            rope=RopeConfig(axes=(third, third, third)),
        )


def made_up_batch(config: ModelConfig, grid: tuple[int, int, int]) -> PackedBatch:
    """One T2AV document with a video of this grid: random latents and captions, two noise levels."""
    g = torch.Generator().manual_seed(0)
    video = torch.randn(*grid, config.video_channels, generator=g)
    audio = torch.randn(AUDIO, config.audio_channels, generator=g)
    texts = [torch.randn(n, config.text_dim, generator=g) for n in (VIDEO_TEXT, AUDIO_TEXT - 1)]
    sample = Sample("0" * 32, "train", "sound", tuple(TASKS), video, audio, *texts, torch.empty(0, dtype=torch.uint8))
    noise = [torch.randn(x.shape, generator=g) for x in (video, audio)]
    return pack([Document(sample, TASKS["T2AV"], Conditions(0.6, 0.4, *noise))], config, multiple=16)


def our_step(
    config: ModelConfig, batch: PackedBatch, device: torch.device, float8: Float8 = "none"
) -> tuple[Step, MMDiT]:
    """A step of our model, in bf16 and where asked float8, compiled."""
    torch.manual_seed(0)
    model = MMDiT(config).to(device)
    init_weights(model, 0)
    _no_zeros(model)
    model.bfloat16()
    settings = ParallelSettings(compile=device.type == "cuda", float8=float8)
    parallelize(model, World(0, 1, device), settings, "bf16")
    readings = {
        medium: Reading("v", False, torch.ones(c, device=device), torch.ones(c, device=device))
        for medium, c in (("video", config.video_channels), ("audio", config.audio_channels))
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
    on_device = batch.to(device)

    def step() -> torch.Tensor:
        losses = media_losses(model(on_device.packed), on_device, readings)
        loss = global_loss(losses, loss_counts(on_device), ObjectiveSettings())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step, model


def peer_step(sizes: Sizes, batch: PackedBatch, device: torch.device) -> tuple[Step, Any]:
    """A step of the peer on the same numbers of tokens, compiled per block, cuDNN attention."""
    from diffusers import MiniMaxH3Transformer3DModel

    torch.manual_seed(0)
    video, audio = batch.packed.video.shape[1], batch.packed.audio.shape[1]
    model = MiniMaxH3Transformer3DModel(
        num_attention_heads=sizes.heads,
        attention_head_dim=sizes.head,
        hidden_size=sizes.width,
        num_layers=sizes.layers,
        num_refiner_layers=0,
        ffn_dim=sizes.ffn,
        in_channels=video,
        audio_in_channels=audio,
        patch_size=(1, 1, 1),
        text_dim=1024,
        time_embed_hidden_dim=sizes.width,
        time_embed_dim=sizes.width // 2,
        rope_freq_dim=sizes.head // 8,
    ).to(device, torch.bfloat16)
    _no_zeros(model)
    if device.type == "cuda":
        model.set_attention_backend("_native_cudnn")
        model.compile_repeated_blocks(fullgraph=True)
    inputs, targets = _peer_inputs(batch, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)

    def step() -> torch.Tensor:
        outputs = model(**inputs, return_dict=False)
        loss = sum(functional.mse_loss(x.float(), y) for x, y in zip(outputs, targets, strict=True))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step, model


def _peer_inputs(batch: PackedBatch, device: torch.device) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """One packed sequence [video; text; audio] without our pad rows; two timesteps and that of the captions."""
    v, tv, ta, a = batch.packed.lengths[0]
    pieces = torch.arange(v + tv + ta + a).split([v, tv + ta, a])
    order = batch.packed.order.split([v, tv, ta, a])
    ids = torch.cat(batch.packed.positions)[torch.cat(order)]
    text = torch.cat([batch.packed.video_text[:tv], batch.packed.audio_text[:ta]])[None]
    counts = torch.tensor([v, tv + ta, a])
    targets = [batch.video.noise[:v] - batch.video.clean[:v], batch.audio.noise[:a] - batch.audio.clean[:a]]
    inputs = {
        "hidden_states": batch.packed.video[None, :v].bfloat16(),
        "audio_hidden_states": batch.packed.audio[None, :a].bfloat16(),
        "encoder_hidden_states": text.bfloat16(),
        "timestep": torch.tensor([0.6, 0.4]),
        "timestep_indices": torch.tensor([0, 0, 1]).repeat_interleave(counts),
        "token_tags": torch.tensor([0, 1, 2]).repeat_interleave(counts),
        "position_ids": ids,
        "video_indices": pieces[0],
        "text_indices": pieces[1],
        "audio_indices": pieces[2],
    }
    return {k: x.to(device) for k, x in inputs.items()}, [t[None].to(device) for t in targets]


def _no_zeros(model: torch.nn.Module) -> None:
    """Weights as in the middle of training: what starts at zero would make the card draw less power."""
    with torch.no_grad():
        for p in model.parameters():
            if not p.any():
                p.normal_(std=0.02)


def in_turn(steps: dict[str, Step], rounds: int, each: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of a step by name: `rounds` turns of A B, `each` steps a turn; raises RuntimeError on a bad value."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(3):
            step()
    for _ in range(rounds):
        for name, step in steps.items():
            _wait(device)
            began = time.perf_counter()
            for _ in range(each):
                loss = step()
            _wait(device)
            seconds[name].append((time.perf_counter() - began) / each)
            if not torch.isfinite(loss):
                raise RuntimeError(f"{name}: the loss is {loss.item()}")
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_gib(make: Callable[[], tuple[Step, Any]]) -> float:
    """Largest memory of two steps of a model alone."""
    _free()
    torch.cuda.reset_peak_memory_stats()
    step, model = make()
    step(), step()
    peak = torch.cuda.max_memory_allocated() / 2**30
    del step, model
    _free()
    return peak


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def ceilings(sizes: Sizes, tokens: int, device: torch.device) -> dict[str, float]:
    """Sustained rates: GEMM of the QKV shape, attention forward and backward (14 N^2 d), in TFLOP/s; copy, TB/s."""
    x = torch.randn(tokens, sizes.width, device=device, dtype=torch.bfloat16)
    w = torch.randn(3 * sizes.width, sizes.width, device=device, dtype=torch.bfloat16)
    gemm = _rate(lambda: functional.linear(x, w), device)
    q, k, v = (torch.randn(tokens, sizes.heads, sizes.head, device=device, dtype=torch.bfloat16) for _ in range(3))
    for one in (q, k, v):
        one.requires_grad_()
    gradient, segments = torch.randn_like(q), torch.tensor([tokens, 0])

    def attention() -> None:
        torch.autograd.grad(attend(q, k, v, segments, "cudnn"), (q, k, v), gradient)

    both = _rate(attention, device)
    a, b = (torch.empty(2**30, device=device, dtype=torch.bfloat16) for _ in range(2))
    copy = _rate(lambda: a.copy_(b), device)
    return {
        "gemm": 2 * tokens * 3 * sizes.width**2 / gemm / 1e12,
        "attention": 14 * tokens**2 * sizes.width / both / 1e12,
        "copy": 2 * a.nbytes / copy / 1e12,
    }


def _rate(work: Callable[[], object], device: torch.device, for_s: float = 1.0) -> float:
    """Seconds of one call, sustained for about `for_s` seconds."""
    for _ in range(3):
        work()
    _wait(device)
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < for_s:
        for _ in range(10):
            work()
        _wait(device)
        calls += 10
    return (time.perf_counter() - began) / calls


def compare(
    sizes: Sizes,
    tokens: int,
    grid: tuple[int, int, int],
    rounds: int,
    device: torch.device,
    kinds: Sequence[Float8] = ("none",),
) -> dict[str, Any]:
    """Ours, of these kinds of float8, and the peer's at one length."""
    config = sizes.ours()
    batch = made_up_batch(config, grid)
    makers: dict[str, Callable[[], tuple[Step, Any]]] = {
        "klear" if kind == "none" else f"klear, float8 {kind}": partial(our_step, config, batch, device, kind)
        for kind in kinds
    }
    makers["MiniMax-H3 (diffusers)"] = partial(peer_step, sizes, batch, device)
    made = {name: make() for name, make in makers.items()}
    counts = [sum(p.numel() for p in model.parameters()) / 1e9 for _, model in made.values()]
    seconds = in_turn({name: step for name, (step, _) in made.items()}, rounds, 5 if tokens < 20_000 else 2, device)
    flops = sum(training_flops(batch_load(batch.packed), config).values())
    result: dict[str, Any] = {"tokens": sum(batch.packed.lengths[0]), "flops": flops, "parameters": counts}
    result["ms"] = {name: statistics.median(times) * 1e3 for name, times in seconds.items()}
    result["spread"] = {name: (max(times) - min(times)) * 1e3 for name, times in seconds.items()}
    del made
    _free()
    if device.type == "cuda":
        result["ceilings"] = ceilings(sizes, tokens, device)
        result["gib"] = [peak_gib(make) for make in makers.values()]
    return result


def rows_of(result: dict[str, Any]) -> list[list[object]]:
    """The table's lines of one length."""
    lines = []
    memory = result.get("gib", [float("nan")] * len(result["ms"]))
    for i, (name, ms) in enumerate(result["ms"].items()):
        rate = result["tokens"] / ms * 1e3
        mfu = result["flops"] / (ms / 1e3) / PEAK
        lines.append(
            [
                f"{result['tokens']:,}",
                name,
                f"{result['parameters'][i]:.2f}",
                f"{ms:.1f} ({result['spread'][name]:.1f})",
                f"{rate:,.0f}",
                f"{mfu:.1%}",
                f"{memory[i]:.1f}",
            ]
        )
    return lines


def main() -> None:
    """Both lengths, one table; a JSON line of everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tiny size, to see that it runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, nargs="*", choices=sorted(GRIDS), default=sorted(GRIDS))
    parser.add_argument("--float8", nargs="*", choices=get_args(Float8), default=["none"], help="of ours, each in turn")
    parser.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    arguments = parser.parse_args()
    if not arguments.small and not torch.cuda.is_available():
        parser.error("no CUDA device: the figures are a GPU's; --small shows that it runs")
    device = torch.device("cpu" if arguments.small else "cuda")
    sizes = Sizes(96, 1, 32, 64) if arguments.small else Sizes()
    grids = {1_000: (2, 2, 10)} if arguments.small else {n: GRIDS[n] for n in arguments.tokens}
    results = [compare(sizes, n, grid, arguments.rounds, device, arguments.float8) for n, grid in grids.items()]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, tiny: no figures"
    head = ["tokens", "model", "B parameters", "ms a step (spread)", "tokens/s", "MFU", "peak GiB"]
    text = table(head, [row for result in results for row in rows_of(result)])
    for result in results:
        if "ceilings" in result:
            c = result["ceilings"]
            text += (
                f"\n\nSustained at {result['tokens']:,} tokens: GEMM {c['gemm']:.0f} TFLOP/s, attention forward and "
                f"backward {c['attention']:.0f} TFLOP/s (14 N^2 d), copy {c['copy']:.2f} TB/s."
            )
    record(f"a training step beside the peer's, {name}, torch {torch.__version__}", text, arguments.record)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
