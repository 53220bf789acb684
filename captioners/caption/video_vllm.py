"""Captions of the picture, by vLLM in this process."""

from captioners.caption.vllm_engine import Vllm


class VideoVllm(Vllm):
    """`caption.video_vllm`: see `Vllm`, and `answer.VideoAnswer` for what it writes."""

    NAME = "caption.video_vllm"
    VERSION = 1
    KIND = "video"


STAGE = VideoVllm
