"""DNSMOS (Reddy 2021): predicted listener's opinion of speech, 1-5. MIT; models from speechmos' folder, own front end.

Only speech is scored: the silero-vad spans, joined. The model was trained on noisy speech and means nothing elsewhere
(a song scores 1.1). Measured (shared reference): clean 2.8, rain at 20 / 5 / -5 dB 2.6 / 2.1 / 1.3, clipped 1.8; a band
limit is not heard.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.audio.mel import mel_bank
from filters.audio.spans import Span, from_rows
from media.clip import Clip
from media.onnx import session
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, View, Views
from media.weights import PackagedFile, digest_of

PRIMARY = PackagedFile(
    "speechmos", "0.0.1.1", "speechmos", "dnsmos_models/sig_bak_ovr.onnx",
    "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
)  # fmt: skip
P808 = PackagedFile(
    "speechmos", "0.0.1.1", "speechmos", "dnsmos_models/model_v8.onnx",
    "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
)  # fmt: skip
RATE = 16_000
WINDOW = 144_160
"""9.01 s: the length that the model takes."""
POLYNOMIALS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
"""Calibration of the raw outputs (a x^2 + b x + c), from Microsoft's DNS-Challenge `dnsmos_local.py`."""


class Dnsmos:
    """`sig`, `bak`, `ovrl`: speech, background and overall quality (P.835 scale 1-5); `p808`: overall (P.808).

    speech_s: seconds of speech that were scored. NULL scores below `min_speech_s`. Shorter than 9.01 s is repeated
    to fill the window, as the reference does; longer is scored at 9.01 s windows every `hop_s` and averaged.
    """

    NAME = "audio.dnsmos"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "ovrl": pa.float64(),
        "sig": pa.float64(),
        "bak": pa.float64(),
        "p808": pa.float64(),
        "speech_s": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"ovrl": (0, 5.5), "sig": (0, 5.5), "bak": (0, 5.5), "p808": (0, 5.5)}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("audio.classes",)
    REQUIRES = INPUTS
    BACKEND = "DNSMOS (speechmos 0.0.1.1)"
    LICENCE = "MIT (speechmos)"
    COST = 0.1

    def __init__(self, min_speech_s: float = 0.5, hop_s: float = 4.5) -> None:
        self.min_speech_s = min_speech_s
        self.hop_s = hop_s

    def digest(self) -> str:
        """Digest of both models' files."""
        return digest_of(PRIMARY, P808)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz mono audio and the speech spans of `audio.classes`."""
        speech = cut_spans(views[AUDIO_16K], from_rows(facts["audio.classes"]["speech_spans"]))
        seconds = len(speech) / RATE
        if seconds < self.min_speech_s:
            return {"speech_s": seconds}
        rows = [score(window) for window in windows(speech, round(self.hop_s * RATE))]
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} | {"speech_s": seconds}


def cut_spans(audio: np.ndarray, spans: list[Span]) -> np.ndarray:
    """The samples inside the spans, joined; (n,) float32 in [-1, 1] at 16 kHz."""
    parts = [audio[round(start * RATE) : round(end * RATE)] for start, end in spans]
    return np.clip(np.concatenate(parts), -1, 1).astype(np.float32) if parts else np.zeros(0, np.float32)


def windows(speech: np.ndarray, hop: int) -> list[np.ndarray]:
    """Windows of 9.01 s: the repeated speech when it is shorter, else one each `hop` samples."""
    if len(speech) < WINDOW:
        return [np.resize(speech, WINDOW)]
    return [speech[s : s + WINDOW] for s in range(0, len(speech) - WINDOW + 1, hop)]


def score(window: np.ndarray) -> dict[str, float]:
    """`sig`, `bak`, `ovrl`, `p808` of one window (144160,) float32."""
    raw = _sessions()[0].run(None, {"input_1": window[None]})[0][0]
    named = dict(zip(("sig", "bak", "ovrl"), raw))
    scores = {key: float(np.polyval(POLYNOMIALS[key], value)) for key, value in named.items()}
    return scores | {"p808": float(_sessions()[1].run(None, {"input_1": p808_features(window)})[0][0, 0])}


def p808_features(window: np.ndarray) -> np.ndarray:
    """Log-mel input (1, 900, 120) float32: 321-point spectra every 10 ms, 120 bands, dB below the loudest, scaled."""
    padded = np.pad(window[:-160], 160).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 321)[::160]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(321) / 321)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2 @ mel_bank(RATE, 321, 120, 0, RATE / 2, slaney=True).T
    level = 10 * np.log10(np.maximum(power, 1e-10) / max(power.max(), 1e-10))
    return ((np.maximum(level, -80) + 40) / 40)[None].astype(np.float32)


@lru_cache(maxsize=1)
def _sessions() -> tuple[Any, Any]:
    return session(PRIMARY.locate()), session(P808.locate())


STAGE = Dnsmos
