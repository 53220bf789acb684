"""Captions of the picture, by a model behind an OpenAI-compatible endpoint."""

from captioners.caption.endpoint import Endpoint


class VideoEndpoint(Endpoint):
    """`caption.video_endpoint`: see `Endpoint`, and `answer.VideoAnswer` for what it writes."""

    NAME = "caption.video_endpoint"
    VERSION = 1
    KIND = "video"


STAGE = VideoEndpoint
