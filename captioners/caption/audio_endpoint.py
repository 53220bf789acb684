"""Captions of the sound, by a model behind an OpenAI-compatible endpoint."""

from captioners.caption.endpoint import Endpoint


class AudioEndpoint(Endpoint):
    """`caption.audio_endpoint`: see `Endpoint`, and `answer.AudioAnswer` for what it writes."""

    NAME = "caption.audio_endpoint"
    VERSION = 1
    KIND = "audio"


STAGE = AudioEndpoint
