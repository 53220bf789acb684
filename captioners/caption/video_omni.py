"""Captions of the picture, by a Qwen-Omni model in a local folder."""

from captioners.caption.omni import OmniCaptioner


class VideoOmni(OmniCaptioner):
    """`caption.video_omni`: see `OmniCaptioner`, and `answer.VideoAnswer` for what it writes."""

    NAME = "caption.video_omni"
    VERSION = 1
    KIND = "video"


STAGE = VideoOmni
