"""Every attention kernel of the switch: TFLOP/s forward and backward, one document and many packed ones.

python -m bench.attention --record             # on a GPU; --seconds bounds it
python -m bench.attention --device cpu         # the kernels of a CPU, short lengths
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from bench.harness import record
from bench.markdown import table
from bench.step.device import wait
from trainer.model.kernels import KERNELS, attend, pick

HEADS, HEAD = 24, 128
MOST_SCORES = 8 * 2**30
"""Bytes of scores beyond which `math`, which writes them all out, is left out."""


def shapes(longest: int) -> list[tuple[str, list[int]]]:
    """Single documents of 1k tokens and more, and packs of many; the dearest last."""
    single = [(f"1 x {n // 1024}k", [n]) for n in (1024, 2048, 4096, 8192, 16384, 32768, 65536)]
    packed = [
        ("16 x 1k", [1024] * 16),
        ("16 x 256", [256] * 16),
        ("64 x 256", [256] * 64),
        ("32 of 0.3k to 2.2k", list(range(256, 2304, 64))),
        ("4 x 8k", [8192] * 4),
    ]
    fit = [(name, lengths) for name, lengths in single + packed if sum(lengths) <= longest]
    return sorted(fit, key=lambda shape: sum(n * n for n in shape[1]))


def seconds(work: Callable[[], object], device: torch.device, for_s: float = 0.2) -> float:
    """Median of a call, at least three, after two that warm up (cuDNN makes a plan, a compiler compiles)."""
    times: list[float] = []
    for turn in range(100):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        if turn >= 2:
            times.append(time.perf_counter() - began)
        if len(times) >= 3 and sum(times) > for_s:
            break
    return statistics.median(times)


def measure(kernel: str, lengths: list[int], device: torch.device, dtype: torch.dtype) -> tuple[str, str]:
    """TFLOP/s of the forward pass (4 N^2 d a document) and of the backward pass (10 N^2 d), or why there are none."""
    tokens, squares = sum(lengths), sum(n * n for n in lengths)
    if kernel == "math" and squares * HEADS * 4 > MOST_SCORES:
        return "-", "-"
    q, k, v = (torch.randn(tokens, HEADS, HEAD, device=device, dtype=dtype, requires_grad=True) for _ in range(3))
    gradient, segments = torch.randn_like(q), torch.tensor([*lengths, 0])
    try:
        with torch.no_grad():
            ahead = seconds(lambda: attend(q, k, v, segments, kernel), device)
        out = attend(q, k, v, segments, kernel)
        back = seconds(lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True), device)
    except RuntimeError as error:
        return type(error).__name__, (str(error).splitlines() or [""])[0][:60]
    flops = squares * HEADS * HEAD
    return f"{4 * flops / ahead / 1e12:.3g}", f"{10 * flops / back / 1e12:.3g}"


def main() -> None:
    """The table: a line per shape, a column per kernel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--longest", type=int, default=65536)
    parser.add_argument("--kernels", nargs="*", choices=list(KERNELS), default=None)
    parser.add_argument("--seconds", type=float, default=120, help="shapes that would start later are left out")
    parser.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    arguments = parser.parse_args()
    device, began = torch.device(arguments.device), time.monotonic()
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    names = arguments.kernels or (["math", "cpu"] if device.type == "cpu" else [n for n in KERNELS if n != "cpu"])
    for name in names:
        pick(name, device, dtype)
    rows = []
    for label, lengths in shapes(min(arguments.longest, 4096) if device.type == "cpu" else arguments.longest):
        if time.monotonic() - began > arguments.seconds:
            rows.append([label, *("left out" for _ in names)])
            continue
        found = [measure(name, lengths, device, dtype) for name in names]
        rows.append([label, *(f"{ahead} / {back}" for ahead, back in found)])
        print(rows[-1], flush=True)
    kind = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    title = f"attention kernels, TFLOP/s forward / backward, {HEADS} heads of {HEAD}, {dtype}, {kind}"
    record(f"{title}, torch {torch.__version__}", table(["documents", *names], rows), arguments.record)


if __name__ == "__main__":
    main()
