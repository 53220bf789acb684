"""Captions of the sound, by a Qwen-Omni model in a local folder."""

from captioners.caption.omni import OmniCaptioner


class AudioOmni(OmniCaptioner):
    """`caption.audio_omni`: see `OmniCaptioner`, and `answer.AudioAnswer` for what it writes."""

    NAME = "caption.audio_omni"
    VERSION = 1
    KIND = "audio"


STAGE = AudioOmni
