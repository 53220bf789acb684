"""Captions of the sound, by vLLM in this process."""

from captioners.caption.vllm_engine import Vllm


class AudioVllm(Vllm):
    """`caption.audio_vllm`: see `Vllm`, and `answer.AudioAnswer` for what it writes."""

    NAME = "caption.audio_vllm"
    VERSION = 1
    KIND = "audio"


STAGE = AudioVllm
