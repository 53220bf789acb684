"""Captions of sound and picture together, by vLLM in this process."""

from captioners.caption.vllm_engine import Vllm


class FusedVllm(Vllm):
    """`caption.fused_vllm`: see `Vllm`, and `answer.FusedAnswer` for what it writes."""

    NAME = "caption.fused_vllm"
    VERSION = 1
    KIND = "fused"


STAGE = FusedVllm
