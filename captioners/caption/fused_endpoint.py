"""Captions of sound and picture together, by a model behind an OpenAI-compatible endpoint."""

from captioners.caption.endpoint import Endpoint


class FusedEndpoint(Endpoint):
    """`caption.fused_endpoint`: see `Endpoint`, and `answer.FusedAnswer` for what it writes."""

    NAME = "caption.fused_endpoint"
    VERSION = 1
    KIND = "fused"


STAGE = FusedEndpoint
