"""What kind of work a kernel does, told by its name."""

import re

KINDS = ("GEMM", "attention", "elementwise", "gather, copy", "optimizer", "memset", "other")

_MOVES = (
    "(?:_to_copy|cat|clone|copy|embedding|gather|index_copy|index_put|index_select|index|new_zeros|scatter|slice|view)"
)

_RULES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("memset", r"^Memset|\bmemset"),
        ("attention", r"sdpa|flash|fmha|FMHA|compute_dot_do_o|convert_dq|cudnn::fusion|flex_attention"),
        ("elementwise", r"^(?:(?:norm|heads|gelu|add)_(?:forward|backward)|peaks|cast_tiles)$"),  # ours
        ("GEMM", r"nvjet|[gG]emm|GEMM|gemv|cutlass|xmma|splitK|cublas|scaled_mm|^triton_tem_fused|^grouped$"),
        ("optimizer", r"multi_tensor_apply|FusedAdam|^_adamw$"),
        ("gather, copy", rf"^triton_\w+?_fused(?:_{_MOVES})+_\d+$"),
        ("elementwise", r"^triton_|layer_norm|rms_norm|softmax"),
        ("gather, copy", r"^Memcpy|[cC]opy|[iI]ndex|[gG]ather|[sS]catter|CatArray|embedding"),
        ("elementwise", r"elementwise|reduce_kernel|GammaBeta|Functor"),
    )
)
"""The first that is found in the name decides. Compiled kernels name the operators that were fused: one whose operators
all move rows is a copy."""

_RANGES = re.compile(r"^(?:ProfilerStep|Optimizer\.|## Call|Torch-Compiled Region)")


def kind_of(name: str) -> str:
    """One of `KINDS`."""
    return next((kind for kind, pattern in _RULES if pattern.search(name)), "other")


def is_kernel(name: str) -> bool:
    """Whether this is work, not the name of a stretch of time that a profiler lists among it."""
    return not _RANGES.search(name)
