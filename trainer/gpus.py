"""The GPUs we know: their peak, what they sustain, their memory and links. All of the planner's rates are here."""

from collections.abc import Mapping
from dataclasses import dataclass

from manifests.errors import ConfigError

USABLE = 0.92
"""Share of the memory that tensors may have: the rest is CUDA's context, NCCL's buffers and fragmentation. Assumed."""

GPUS_PER_NODE = 8


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU.

    memory: bytes. peak: dense bf16 FLOP/s, by its data sheet. gemm, float8, attention: FLOP/s that large matrix
    products in bf16 and in float8 (0 where it has none) and attention (forward and backward, head dim 128) sustain, as
    `trainer/flops.py` counts them: attention's kernels do 14 S^2 d, of which 12 count. copy: bytes/s of its memory that
    elementwise work sustains. link: bytes/s in and out to the other GPUs of a node, in collectives. network: the same
    of a whole node of 8 to other nodes. name: as the driver says it, in part. source: where the sustained rates are
    from.
    """

    name: str
    memory: float
    peak: float
    gemm: float
    float8: float
    attention: float
    copy: float
    link: float
    network: float
    source: str


def _like_h100(
    name: str, memory: float, peak: float, copy: float, link: float, network: float, float8: bool = True
) -> Gpu:
    """Sustained shares of the peak, and of the links, as on the H100."""
    source = "not measured: the H100's shares of the data sheet's rates"
    rates = (0.687 * peak, 1.264 * peak if float8 else 0.0, 0.452 * peak, 0.9 * copy, 0.67 * link, 0.8 * network)
    return Gpu(name, memory, peak, *rates, source)


GPUS: Mapping[str, Gpu] = {
    "h100": Gpu(
        "H100",
        memory=79.1 * 2**30,
        peak=989e12,
        gemm=679e12,
        float8=1250e12,
        # cuDNN sustains 498 TFLOP/s of the 14 S^2 d that it does at 9,152 tokens, and 544 at 32,192: the mean, times
        # 12 / 14. A step spends 4% more or less on attention at those lengths than this says.
        attention=447e12,
        copy=3.0e12,
        link=300e9,
        network=320e9,
        source="measured on an H100 SXM at its power limit (690 W): products 679 TFLOP/s, in float8 1,250, attention "
        "498 to 544 of its 14 S^2 d (427 to 466 of the 12 that count), copy 3.0 TB/s; links assumed: two thirds of "
        "NVLink's 450 GB/s, 80% of eight 400 Gb/s cards a node",
    ),
    "h200": _like_h100("H200", 139.8 * 2**30, 989e12, 4.8e12, 450e9, 400e9),
    "a100": _like_h100("A100", 79.1 * 2**30, 312e12, 2.04e12, 300e9, 200e9, float8=False),
    "b200": _like_h100("B200", 178.0 * 2**30, 2250e12, 8.0e12, 900e9, 400e9),
}


def gpu_named(name: str) -> Gpu:
    """The GPU; raises ConfigError naming those there are."""
    if name.lower() not in GPUS:
        raise ConfigError("config:gpu", f"no GPU {name!r} in trainer/gpus.py; there are {', '.join(GPUS)}")
    return GPUS[name.lower()]


def gpu_of(device_name: str) -> Gpu | None:
    """The GPU that `torch.cuda.get_device_name` names so; None for one we do not know, or a CPU."""
    return next((gpu for gpu in GPUS.values() if gpu.name in device_name), None)


def peak_flops(device_name: str) -> float | None:
    """Dense bf16 peak of that device; None for one we do not know, or a CPU."""
    gpu = gpu_of(device_name)
    return gpu.peak if gpu else None
