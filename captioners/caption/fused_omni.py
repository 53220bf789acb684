"""Captions of sound and picture together, by a Qwen-Omni model in a local folder."""

from captioners.caption.omni import OmniCaptioner


class FusedOmni(OmniCaptioner):
    """`caption.fused_omni`: see `OmniCaptioner`, and `answer.FusedAnswer` for what it writes."""

    NAME = "caption.fused_omni"
    VERSION = 1
    KIND = "fused"


STAGE = FusedOmni
