"""Transcript with word times by WhisperX, guarded against words that nobody said."""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from captioners.separate import splitters
from captioners.separate.stems import level_db
from captioners.transcribe import aligner, transcript
from captioners.transcribe.guard import Limits
from captioners.transcribe.settings import Whisper
from manifests.errors import BackendAbsent, ConfigError
from manifests.settings import checked
from media import packaged_whisper
from media.clip import Clip
from media.stage import Bounds, Facts, Given
from media.views import AUDIO_16K, View, Views
from media.weights import sha256_of

RATE = 16_000
MUSICAL = 0.5  # share of the clip with music above which `stem: auto` looks at the voice stem at all
LOUD_DB = 0.0  # ... and takes it where it is no louder than the background stem


class WhisperX:
    """`transcribe.whisperx`: what is said or sung, or "" with the reason in `guard`.

    model: tiny.en (the default) or base (multilingual), which packages bring, or the folder of a CTranslate2 Whisper.
    language: ISO code, or None to identify it in each clip (tiny.en hears English only). align_model: folder of a
    Wav2Vec2ForCTC, or None for Whisper's own word times. pieces: what is sent to Whisper, the speech `spans` of
    `audio.classes` (where it ran and nobody sings), or what WhisperX's own `vad` finds; measured, word errors 0.128
    and 0.151 (`pieces.PAD_S` says of what). stem: what is listened to: mix, voice, or auto, the voice stem where music
    is louder than the voice. Measured, word errors of the mix and of the HPSS stem: 0.10 and 0.12 at +10 dB, 0.26 and
    0.20 at 0 dB, 0.66 and 0.31 at -5 dB; DeepFilterNet's stem is worse than the mix. separator: backend of the voice
    stem, or {backend: demucs, model: ..., on: ...} with the settings of `Demucs`. device, compute_type: of CTranslate2.
    batch: pieces decoded at once, of all clips in hand. spoken_numbers: "two", never "2". singing_ratio: share of the
    clip above which it counts as sung, where speech detectors are not believed. limits: of the guard.
    """

    NAME = "transcribe.whisperx"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {**transcript.COLUMNS, "stem": pa.string()}
    RANGES: ClassVar[Mapping[str, Bounds]] = transcript.RANGES
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = transcript.INPUTS
    BACKEND = "WhisperX 3.8.6, Whisper tiny.en (CTranslate2)"
    LICENCE = "WhisperX BSD-2-Clause; pyannote VAD MIT"
    COST: float | None = 0.08

    def __init__(
        self,
        *,
        model: str | None = None,
        language: str | None = None,
        align_model: str | None = None,
        pieces: Literal["vad", "spans"] = "spans",
        stem: Literal["auto", "mix", "voice"] = "auto",
        separator: str | Mapping[str, Any] = "hpss_residual",
        device: str = "cpu",
        compute_type: str = "int8",
        batch: int = 1,
        spoken_numbers: bool = True,
        singing_ratio: float = 0.2,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        if stem not in {"auto", "mix", "voice"}:
            raise ConfigError("config:stem", f"transcribe.whisperx: stem = {stem!r}; use auto, mix or voice")
        if pieces not in {"vad", "spans"}:
            raise ConfigError("config:pieces", f"transcribe.whisperx: pieces = {pieces!r}; use vad or spans")
        model = model or "tiny.en"
        self.model, self.align_model, self.pieces = model, align_model, pieces
        self.stem, self.splitter = stem, splitters.named(separator)
        decoding = {"device": device, "compute_type": compute_type, "language": language, "batch": batch}
        self.options: dict[str, Any] = {
            **checked(Whisper, decoding, self.NAME).model_dump(),
            "model": model,
            "align_model": align_model,
            "spoken_numbers": spoken_numbers,
        }
        self.BACKEND = f"WhisperX 3.8.6, Whisper {Path(model).name} (CTranslate2)"
        self.COST = {"tiny.en": 0.08, "base": 0.28}.get(model)  # of others nothing was measured
        packaged = model in packaged_whisper.PACKAGED
        weights = "Whisper weights MIT" if packaged else "of the model in its own folder"
        separation = [] if stem == "mix" else [f"separator {self.splitter.LICENCE}"]
        self.LICENCE = "; ".join([self.LICENCE, weights, *separation, *aligner.licences(align_model)])
        self.singing_ratio = singing_ratio
        self.limits = Limits(**(limits or {}))

    def digest(self) -> str:
        """Of the weights (Whisper's, the VAD's, the aligner's, the separator's if used) and of what runs them."""
        files = [_package("whisperx") / "assets" / "pytorch_model.bin", *aligner.files(self.align_model)]
        versions = [f"{n}=={importlib.metadata.version(n)}" for n in ("whisperx", "faster-whisper", "ctranslate2")]
        parts = [*versions, packaged_whisper.digest(self.model), *(sha256_of(file) for file in files)]
        parts += [] if self.stem == "mix" else [self.splitter.digest()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Transcribe one clip; speech spans, class and singing come from `audio.classes` where it ran."""
        return self.many([(clip, views, facts)])[0]

    def many(self, given: Sequence[Given]) -> list[dict[str, Any]]:
        """Transcribe several clips, whose pieces of speech are decoded together."""
        evidence = [transcript.evidence_of(facts, self.singing_ratio) for _, _, facts in given]
        stems = [self._listen_to(views, facts, e.silent) for (_, views, facts), e in zip(given, evidence)]
        asked = [(audio, found) for (_, audio), found in zip(stems, evidence)]
        rows = transcript.rows(asked, self._hear, self.limits)
        return [{**row, "stem": name} for row, (name, _) in zip(rows, stems)]

    def _hear(self, asked: Sequence[transcript.Asked]) -> Any:
        if self.pieces == "vad":
            asked = [(audio, None) for audio, _ in asked]
        return self._load().hear(asked)

    def _load(self) -> Any:
        from captioners.transcribe import recogniser

        return recogniser.load(recogniser.Setup(**self.options))

    def _listen_to(self, views: Views, facts: Facts, silent: bool) -> tuple[str, np.ndarray]:
        """The name and the samples of the stem to transcribe."""
        mix, classes = views[AUDIO_16K], facts.get("audio.classes", {})
        musical = (classes.get("music_ratio") or 0.0) > MUSICAL
        if silent or self.stem == "mix" or (self.stem == "auto" and not musical):
            return "mix", mix
        voice, background = self.splitter.split(mix, RATE)
        loud = level_db(voice) - level_db(background) < LOUD_DB
        return ("voice", voice) if self.stem == "voice" or loud else ("mix", mix)


def _package(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise BackendAbsent("transcribe:package", f"transcribe.whisperx needs the package {name}: run `make setup`")
    return Path(spec.origin).parent


STAGE = WhisperX
