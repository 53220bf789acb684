"""One sample from its media to the tensors of its latents: what `encode` does once and `LiveSet` when asked."""

import math
from functools import cached_property
from typing import Any, NamedTuple

import torch

from captioners.speakers import marked
from captioners.transcribe.words import UNSPACED
from manifests.errors import ConfigError, MediaError
from manifests.ids import unit
from trainer.codecs import AudioCodec, VideoCodec, audio_codec, video_codec
from trainer.codecs.mdct import HOP
from trainer.data.classes import Size, size_for
from trainer.data.encode_settings import EncodeSettings
from trainer.data.loudness import normalise_loudness
from trainer.data.media import FPS, GROUP, RATE, Media, decode, usable_frames
from trainer.patches import CELL
from trainer.text import TextEncoder, text_encoder
from trainer.text.speech import speech_bytes

FIDELITY = ("psnr_db", "psnr_plain_db", "snr_db", "lsd_db")
"""Of the picture as decoded and without the deblocking filter; of the sound: signal to noise, log-spectral distance."""


class Encoded(NamedTuple):
    """tensors: float32, as `Encoder.tensors` tells. media: what they were made of. lufs, gain_db: of its sound."""

    tensors: dict[str, torch.Tensor]
    media: Media
    lufs: float | None
    gain_db: float


class Encoder:
    """Codecs and text encoder of one recipe; they load when first used. Raises ConfigError for weights that are absent.

    One of these lives in each process that encodes.
    """

    def __init__(self, settings: EncodeSettings) -> None:
        self.settings = settings
        self.check()

    def check(self) -> None:
        """Everything that a setting names is there. Raises ConfigError, BackendAbsent."""
        _ = self.video, self.audio, self.text
        if self.settings.max_s < (GROUP + 1) / FPS:
            raise ConfigError("config:max_s", f"encode.max_s = {self.settings.max_s}: 9 frames at 24 fps are 0.375 s")

    @cached_property
    def video(self) -> VideoCodec:
        """The video codec."""
        s = self.settings
        return video_codec(s.video_codec, s.video_weights, s.precision, s.device)

    @cached_property
    def audio(self) -> AudioCodec:
        """The audio codec."""
        s = self.settings
        return audio_codec(s.audio_codec, s.audio_weights, s.precision, s.device)

    @cached_property
    def text(self) -> TextEncoder:
        """The text encoder."""
        s = self.settings
        return text_encoder(s.text_encoder, s.text_weights, s.precision, s.device)

    def size(self, described: dict[str, Any]) -> Size:
        """The class of a sample, by its JSON. Raises MediaError `media:too_small`."""
        source = (described["width"], described["height"])
        return size_for(source, self.settings.classes, self.settings.max_upscale)

    def lengths(self, described: dict[str, Any]) -> dict[str, Any]:
        """What the index will say of a sample, from its JSON alone. Raises MediaError as `encode`."""
        frames = usable_frames(described["duration_s"], self.settings.max_s)
        if not frames:
            raise MediaError("media:too_short", f"{described['duration_s']:.3f} s is under 9 frames at {FPS} fps")
        width, height = self.size(described)
        return {
            "video": [(frames - 1) // GROUP + 1, height // CELL, width // CELL],
            "audio": math.ceil(round(frames * RATE / FPS) / HOP),
            "video_text": self.text.length(described["texts"]["video"]),
            "audio_text": self.text.length(described["texts"]["audio"]),
            "speech": len(speech_bytes(speech_within(described, frames / FPS))),
            "seconds": frames / FPS,
        }

    def encode(self, described: dict[str, Any], mp4: bytes) -> Encoded:
        """A sample's raw latents, (T, H, W, C) and (T, C), caption features (n, D), uint8 `speech`; float32.

        described: its JSON. Raises MediaError as `decode`, and for a clip that is too small for every class.
        """
        media = decode(mp4, described, self.size(described), self.settings.max_s)
        sound, gain, lufs = normalise_loudness(media.samples, self.settings.lufs)
        media = Media(media.frames, sound)
        video_text, audio_text = self.text.encode([described["texts"]["video"], described["texts"]["audio"]])
        tensors = {
            "video": self.video.encode(media.frames),
            "audio": self.audio.encode(media.samples),
            "video_text": video_text,
            "audio_text": audio_text,
            "speech": speech_bytes(speech_within(described, media.seconds)),
        }
        return Encoded(tensors, media, lufs, gain)

    def stored(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors as they are kept: latents in float16, features in what their encoder asks for."""
        kinds = {"video": torch.float16, "audio": torch.float16, "speech": torch.uint8}
        return {name: tensor.to(kinds.get(name, self.text.STORED)) for name, tensor in tensors.items()}

    def fidelity(self, key: str, media: Media, tensors: dict[str, torch.Tensor]) -> dict[str, float | None]:
        """How near the stored latents decode to what was encoded; sound, the dearer one, for a share of samples."""
        from trainer.codecs.dct import CausalDct
        from trainer.codecs.fidelity import log_spectral_distance, psnr, snr

        facts: dict[str, float | None] = dict.fromkeys(FIDELITY)
        video, step = tensors["video"].float(), getattr(self.video, "STRIDE", 1)
        facts["psnr_db"] = psnr(media.frames[::step], self.video.decode(video)[::step])
        if isinstance(self.video, CausalDct):
            facts["psnr_plain_db"] = psnr(media.frames, CausalDct(deblocking=False).decode(video))
        if unit(bytes.fromhex(key), "fidelity") < self.settings.fidelity_share:
            heard = self.audio.decode(tensors["audio"].float(), len(media.samples))
            facts |= {"snr_db": snr(media.samples, heard), "lsd_db": log_spectral_distance(media.samples, heard)}
        return {name: value if value is None or math.isfinite(value) else None for name, value in facts.items()}


def speech_within(described: dict[str, Any], seconds: float) -> str:
    """The transcript of the encoded range: whole when the clip is, else the words whose middle lies within it."""
    heard = described["measures"].get("transcribe.whisperx", {}) if "measures" in described else {}
    words = described["words"] if "words" in described else heard.get("words") or []  # older samples have no words
    if described["duration_s"] <= seconds + 0.5 / 3 or not words:
        return str(described["texts"]["speech"])
    joint = "" if described.get("language") in UNSPACED else " "
    return marked([w for w in words if (w["start_s"] + w["end_s"]) / 2 < seconds], joint)
