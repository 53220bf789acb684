"""What the planner's seconds rest on, in words: for whoever reads them, and wants to know how far to trust them."""

from trainer.gpus import GPUS_PER_NODE, USABLE, Gpu
from trainer.plan.layout import Layout
from trainer.plan.time import ELEMENTWISE, UPDATE, moment_traffic


def assumed(gpu: Gpu, layout: Layout) -> dict[str, str]:
    """By what it is about."""
    kind = "compiled, or in kernels of ours" if layout.compiled else "not compiled"
    moments = moment_traffic(layout)
    return {
        "matrix products": f"{gpu.gemm / 1e12:.0f} TFLOP/s, {gpu.gemm / gpu.peak:.0%} of the peak, at every shape",
        "attention": f"{gpu.attention / 1e12:.0f} TFLOP/s of the 12 S^2 d that MFU counts, at every length",
        "elementwise": f"{ELEMENTWISE[layout.compiled]} bytes a row, block and channel, {kind}, at {_bandwidth(gpu)}",
        "optimizer": f"{UPDATE} bytes a parameter, and {moments} for its moments, at {_bandwidth(gpu)}",
        "links": f"{gpu.link / 1e9:.0f} GB/s a GPU each way inside a node of {GPUS_PER_NODE}",
        "network": f"{gpu.network / 1e9:.0f} GB/s a node each way, with no congestion however many nodes there are",
        "overlap": "gathering weights and reducing gradients hide behind computing, or computing behind them",
        "no overlap": "exchanges of context parallelism and of AdaLN, and the optimizer, hide behind nothing",
        "waiting": "ranks wait for the slowest of each turn, as the feed splits the samples",
        "left out": "gaps between kernels, latency of collectives, waits for data, checkpoints, slow machines",
        "memory": f"tensors may have {USABLE:.0%} of it",
        "rates": gpu.source,
    }


def _bandwidth(gpu: Gpu) -> str:
    return f"{gpu.copy / 1e12:.2g} TB/s"
