"""Seconds of a training step: ours and the fastest public single-tower audio-video transformer's, in turn.

The peer is diffusers' MiniMaxH3Transformer3DModel: compiled per block, cuDNN attention, plain bf16 weights and AdamW
states. Ours has the same width, heads, layers, tokens, noise levels and (to a few percent, printed) parameters. Both
take a whole step: forward, loss, backward, fused AdamW. Beside them: what the same card sustains in the same run, the
floor that follows, where the time goes, what the planner says; then peak memory, weights of each stream against shared
ones, and the width of `klear_26b`. Every part is printed when it is done, with a line of JSON.

    python -m bench.train_step --record            # on a GPU, an estimated ten minutes; needs diffusers 0.42.1
    python -m bench.train_step --tokens 9152 --variants bf16,triton --parts turns
    python -m bench.train_step --small             # a few tokens on a CPU: that it runs, no figures
"""

import argparse
import sys

import torch

from bench.harness import record
from bench.markdown import table
from bench.step.bench import Bench
from bench.step.ceilings import Ceilings
from bench.step.compare import ceilings_at, compare, warm_peer
from bench.step.device import forget
from bench.step.memory import in_processes
from bench.step.report import Part, Report
from bench.step.running import Running
from bench.step.sizes import GRIDS
from bench.step.streams import WAYS, streams_apart
from bench.step.variants import VARIANTS, why_not
from bench.step.wide import CUTS, wide

PARTS = ("turns", "memory", "streams", "wide")
SMALL_TOKENS = 1_000


def turns(report: Report, bench: Bench, tokens: int, names: list[str]) -> None:
    """All about one length: ceilings, and each variant beside the peer, which stays compiled."""
    known: dict[str, Ceilings] = {}
    models: dict[str, Running] = {}

    def ceilings() -> Part:
        part, known["here"] = ceilings_at(bench, tokens)
        return part

    def peer() -> Part:
        models["peer"] = warm_peer(bench, tokens)
        return Part(f"{models['peer'].parameters / 1e9:.2f} B parameters.", {"parameters": models["peer"].parameters})

    report.part(f"sustained at {tokens:,} tokens", ceilings)
    report.part(f"peer at {tokens:,} tokens, compiled", peer)
    profiled = False
    for name in names:
        profiled |= report.part(
            f"{name} at {tokens:,} tokens",
            lambda name=name, first=not profiled: compare(  # type: ignore[misc]
                bench, tokens, name, models.get("peer"), known.get("here"), profiled=first
            ),
        )


def memory(bench: Bench, tokens: list[int]) -> Part:
    """Ours and the peer's."""
    ours = [name for name in ("bf16", "triton") if not why_not(VARIANTS[name], not bench.small)]
    found = in_processes([*ours, "peer"], tokens, bench.small)
    rows = [[model, *(f"{gib[n]:.1f}" for n in tokens)] for model, gib in found.items()]
    return Part(table(["peak GiB, alone in its process", *(f"{n:,} tokens" for n in tokens)], rows), {"gib": found})


def run(report: Report, bench: Bench, tokens: list[int], names: list[str], parts: list[str]) -> None:
    """The parts, those that decide first."""
    if "turns" in parts:
        for n in tokens:
            turns(report, bench, n, [name for name in names if n == min(tokens) or not VARIANTS[name].short])
            forget()  # the peer is compiled for one length
    kinds = [kind for kind in WAYS if not why_not(VARIANTS[kind], not bench.small)]
    if "memory" in parts:
        report.part("peak memory", lambda: memory(bench, tokens))
    for kind in kinds:
        for n in tokens if "streams" in parts else ():
            title = f"weights of each stream at {n:,} tokens, {kind}"
            report.part(title, lambda n=n, kind=kind: streams_apart(bench, n, kind))  # type: ignore[misc]
            forget()
        for name in CUTS if "wide" in parts else ():
            title = f"the width of klear_26b at {name}, {kind}"
            report.part(title, lambda name=name, kind=kind: wide(bench, name, kind))  # type: ignore[misc]
            forget()


def main() -> None:
    """Run and record; exit code 1 where a part failed or was left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tiny size, to see that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each model")
    parser.add_argument("--tokens", type=int, nargs="*", choices=sorted(GRIDS), default=sorted(GRIDS))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=600, help="parts that would start later are left out")
    parser.add_argument("--record", action="store_true", help="append what was found to bench/RESULTS.md")
    given = parser.parse_args()
    names = given.variants.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        parser.error(f"no variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    if given.small and given.record:
        parser.error("--small has nothing to record")
    if not given.small and not torch.cuda.is_available():
        parser.error("no CUDA device: the figures are a GPU's; --small shows that it runs")
    torch._dynamo.config.recompile_limit = 64  # of one function: the variants share it
    bench, report = Bench(given.rounds, given.small), Report(given.seconds, given.small)
    for name in list(names):
        if why := why_not(VARIANTS[name], not given.small):
            print(f"{name}: left out, {why}", flush=True)
            names.remove(name)
    run(report, bench, [SMALL_TOKENS] if given.small else given.tokens, names, given.parts)
    device = "CPU, tiny: no figures" if given.small else torch.cuda.get_device_name()
    record(f"a training step beside the peer's, {device}, torch {torch.__version__}", report.text(), given.record)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
