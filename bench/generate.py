"""Milliseconds of a guided sampling step, a layer: ours and the fastest public single-tower transformer's, in turn.

Ours three times, with compiled blocks: a whole forward pass a step; captions, RoPE and AdaLN computed once; and that
captured as a CUDA graph. The peer, diffusers' MiniMaxH3Transformer3DModel (`bench/train_step.py` says how it is built),
twice: both sequences of guidance as a batch of two, and as two calls, the second with as few captions as ours; each of
its shapes gets a static graph. Same width, layers and tokens: of a clip of 5 s at 256p and at 480p. From our layer with
own weights for each stream follow the seconds of the presets of 26 B (`bench/generate_presets.py`).

    python -m bench.generate --record     # on a GPU
    python -m bench.generate --small      # a few tokens on a CPU: that it runs, no figures
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bench.generate_clips import CLIPS, pair_of
from bench.generate_presets import preset_table, rates
from bench.harness import record
from bench.markdown import table
from bench.step.device import free, wait
from bench.step.ours import our_model
from bench.step.peer import peer_inputs, peer_model
from bench.step.running import Step
from bench.step.sizes import SMALL, Sizes
from bench.step.turns import in_turn
from bench.step.variants import VARIANTS
from trainer.model.config import ModelConfig
from trainer.model.mmdit import MMDiT, Prediction
from trainer.objective import Reading
from trainer.packing import PackedBatch, pack
from trainer.sampling.euler import Euler, euler_sigmas
from trainer.sampling.passes import CachedPasses, Passes, WholePasses
from trainer.sampling.replay import Replayed

STEPS = 50
GUIDANCE = 3.0
OWN = "klear, own weights a stream, cached, CUDA graph"
GRAPH = "klear, cached, CUDA graph"


@dataclass(frozen=True)
class Ours:
    """One model of ours, compiled on a GPU, frozen, and one guided batch."""

    model: MMDiT
    batch: PackedBatch
    euler: Euler

    @classmethod
    def of(cls, config: ModelConfig, grid: tuple[int, int, int], device: torch.device) -> "Ours":
        """Weights without zeros, in bf16."""
        pair = pair_of(config, grid)
        model = our_model(config, device, VARIANTS["bf16"]).requires_grad_(False).eval()
        widths = {"video": config.patch_channels, "audio": config.audio_channels}
        readings = {
            m: Reading("v", False, *(torch.ones(c, device=device) for _ in range(2))) for m, c in widths.items()
        }
        batch = pack(pair, config).to(device)
        return cls(model, batch, Euler.of(batch, readings, GUIDANCE))

    def whole(self) -> Step:
        """A whole pass a step."""
        passes = WholePasses(self.model, self.batch, self.euler, "fp32")
        return self._sampling(passes, passes.step)

    def cached(self, graph: bool) -> Step:
        """What stays computed once a sampling of STEPS; graph: replayed, where there is a GPU."""
        passes = CachedPasses(self.model, self.batch, self.euler, "fp32")
        return self._sampling(passes, Replayed(passes.step) if graph and torch.cuda.is_available() else passes.step)

    def _sampling(self, passes: Passes, work: Callable[[], None]) -> Step:
        """Step after step, and after STEPS of them from noise again."""
        start = Prediction(*(x.clone() for x in passes.state))
        done = STEPS

        @torch.no_grad()
        def step() -> torch.Tensor:
            nonlocal done
            if done == STEPS:
                passes.load(euler_sigmas(STEPS))
                for held, noise in zip(passes.state, start):
                    held.copy_(noise)
                done = 0
            work()
            done += 1
            return passes.state.video.mean() + passes.state.audio.mean()

        return step


def peer_steps(sizes: Sizes, config: ModelConfig, grid: tuple[int, int, int], device: torch.device) -> dict[str, Step]:
    """The peer's guided step, as a batch of two and as two calls."""
    batches = [pack([document], config) for document in pair_of(config, grid)]
    model = peer_model(sizes, batches[0], device).requires_grad_(False).eval()
    full, bare = ({name: x.to(device) for name, x in peer_inputs(batch).items()} for batch in batches)
    both = full | {name: torch.cat([x, x.flip(1)]) for name, x in full.items() if name.endswith("hidden_states")}
    state = Prediction(full["hidden_states"].float(), full["audio_hidden_states"].float())

    def advanced(captioned: list[torch.Tensor], null: list[torch.Tensor]) -> torch.Tensor:
        after = [x - (n + GUIDANCE * (c - n)) / STEPS for x, c, n in zip(state, captioned, null, strict=True)]
        return after[0].mean() + after[1].mean()

    @torch.no_grad()
    def batch_of_two() -> torch.Tensor:
        outputs = [x.float() for x in model(**both, return_dict=False)]
        return advanced([x[:1] for x in outputs], [x[1:] for x in outputs])

    @torch.no_grad()
    def two_calls() -> torch.Tensor:
        return advanced(*([x.float() for x in model(**one, return_dict=False)] for one in (full, bare)))

    steps = {"MiniMax-H3, a batch of two": batch_of_two, "MiniMax-H3, two calls": two_calls}
    with torch._dynamo.config.patch(automatic_dynamic_shapes=False):  # a graph for each of its shapes
        for step in steps.values():
            step()
    return steps


def compare(sizes: Sizes, clip: str, grid: tuple[int, int, int], rounds: int, device: torch.device) -> dict[str, Any]:
    """All at one length: ms of a step, and what the extrapolation needs."""
    config, own = sizes.ours(), sizes.ours(shared=False)
    ours, streams = Ours.of(config, grid, device), Ours.of(own, grid, device)
    steps = {"klear, whole passes": ours.whole(), "klear, cached": ours.cached(False), GRAPH: ours.cached(True)}
    steps |= {OWN: streams.cached(True)} | peer_steps(sizes, config, grid, device)
    turns = in_turn(steps, rounds, 5 if grid[1] < 20 else 2, device)
    lengths = ours.batch.packed.document_lengths
    result: dict[str, Any] = {"clip": clip, "grid": grid, "tokens": lengths, "layers": sizes.layers}
    result["ms"] = {name: turn.median * 1e3 for name, turn in turns.items()}
    result["spread"] = {name: turn.spread * 1e3 for name, turn in turns.items()}
    if device.type == "cuda":
        result["once_ms"] = once(ours, result["ms"][GRAPH], device)
        result["rates"] = rates(own, streams.batch.packed, result["ms"][OWN] / 1e3, device)
    return result


def once(ours: Ours, ms: float, device: torch.device) -> dict[str, float]:
    """What a sampling costs beside its steps of `ms` each: the part computed once with its first step, the capture."""
    found, names = {}, ("cache", "capture")
    wait(device)
    began = time.perf_counter()
    step = ours.cached(True)
    for name in names:
        step()
        wait(device)
        found[name] = (time.perf_counter() - began) * 1e3 - ms
        began = time.perf_counter()
    return found


def text_of(results: list[dict[str, Any]]) -> str:
    """The tables, and what they rest on."""
    lines = []
    for r in results:
        tokens = " + ".join(f"{n:,}" for n in r["tokens"])
        for name, ms in r["ms"].items():
            lines.append([r["clip"], tokens, name, f"{ms:.1f} ({r['spread'][name]:.1f})", f"{ms / r['layers']:.2f}"])
    text = table(["clip", "tokens", "a step by", "ms a step (spread)", "ms a step and layer"], lines)
    for r in results:
        first, capture = (r["once_ms"][name] for name in ("cache", "capture"))
        text += f"\n\n{r['clip']}: once a sampling {first:.0f} ms ({STEPS} levels), capture {capture:.0f} ms."
    return f"{text}\n\n{preset_table({r['clip']: (r['grid'], r['rates']) for r in results})}"


def main() -> None:
    """Both clips, two tables; a JSON line of everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tiny size on the CPU, to see that it runs: no figures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", nargs="*", choices=sorted(CLIPS), default=sorted(CLIPS))
    parser.add_argument("--record", action="store_true", help="append the tables to bench/RESULTS.md")
    arguments = parser.parse_args()
    if arguments.small:
        result = compare(SMALL, "small", (2, 2, 10), arguments.rounds, torch.device("cpu"))
        print(f"ran with {result['tokens']} tokens, all values finite; no figures: {', '.join(result['ms'])}")
        return
    if not torch.cuda.is_available():
        parser.error("no CUDA device: the figures are a GPU's; --small shows that it runs")
    results = []
    for clip in arguments.clips:
        results.append(compare(Sizes(), clip, CLIPS[clip], arguments.rounds, torch.device("cuda")))
        free()
    title = f"a guided sampling step beside the peer's, {torch.cuda.get_device_name()}, torch {torch.__version__}"
    record(title, text_of(results), arguments.record)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
