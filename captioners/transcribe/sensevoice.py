"""Transcript by SenseVoiceSmall, in Chinese, Cantonese, English, Japanese and Korean: fast, it has no decoder."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from captioners.transcribe import aligner, sensevoice_model, transcript
from captioners.transcribe.guard import Limits
from captioners.transcribe.pieces import Span, batches, samples, spoken_pieces
from captioners.transcribe.sensevoice_model import LANGUAGES, Spoken
from captioners.transcribe.settings import Pieces
from captioners.transcribe.words import UNSPACED, Heard, Segment, Word, compression_ratio
from manifests.errors import BackendAbsent, ConfigError
from manifests.settings import checked
from media.clip import Clip
from media.stage import Bounds, Facts, Given
from media.views import AUDIO_16K, View, Views
from media.weights import sha256_of
from media.weights_at import Published

_LICENCE = "FunASR Model Open Source License (weights: name and authors kept; 'for reference and learning purposes')"
WEIGHTS = Published(
    "transcribe.sensevoice",
    "sensevoice",
    "model.int8.onnx",
    "https://huggingface.co/csukuangfj/sherpa-onnx-sense-voice-zh-en-ja-ko-yue-2024-07-17",
    _LICENCE,
)


class SenseVoice:
    """`transcribe.sensevoice`: the columns of `transcribe.whisperx`, and `event`, what the sound is most like.

    model: folder of sherpa-onnx's export (model.int8.onnx or model.onnx, tokens.txt); default $KLEAR_WEIGHTS/
    sensevoice. language: zh, en, yue, ja, ko, or None to identify it in each clip. punctuated: with punctuation, case
    and digits. align_model: folder of a Wav2Vec2ForCTC that times the words, or None for the frames (60 ms) in which
    they were heard. batch: pieces decoded at once. singing_ratio, limits: as of `transcribe.whisperx`.
    """

    NAME = "transcribe.sensevoice"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {**transcript.COLUMNS, "event": pa.string()}
    RANGES: ClassVar[Mapping[str, Bounds]] = transcript.RANGES
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = transcript.INPUTS
    BACKEND = "SenseVoiceSmall (onnxruntime)"
    LICENCE = _LICENCE
    COST = None  # not measured

    def __init__(
        self,
        *,
        model: str | None = None,
        language: str | None = None,
        punctuated: bool = True,
        align_model: str | None = None,
        batch: int = 1,
        singing_ratio: float = 0.2,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        if language not in {None, *LANGUAGES}:
            raise ConfigError("config:language", f"{self.NAME}: language = {language!r}; use one of {LANGUAGES}")
        self.model = model or str(WEIGHTS.path().parent)
        self.language, self.punctuated = language, punctuated
        self.align_model, self.batch = align_model, checked(Pieces, {"batch": batch}, self.NAME).batch
        self.LICENCE = "; ".join([_LICENCE, *aligner.licences(align_model)])
        self.singing_ratio, self.limits = singing_ratio, Limits(**(limits or {}))

    def digest(self) -> str:
        """Of the model, its vocabulary, and the aligner's weights. Raises BackendAbsent backend:weights without."""
        files = [sensevoice_model.model_file(self.model), Path(self.model) / "tokens.txt"]
        for file in files:
            if not file.is_file():
                raise BackendAbsent(
                    "backend:weights",
                    f"{self.NAME}: {file} is not there; put the folder of {WEIGHTS.url} at {self.model}, or remove "
                    f"{self.NAME} from the preset",
                )
        files += aligner.files(self.align_model)
        return hashlib.sha256("\n".join(sha256_of(file) for file in files).encode()).hexdigest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Transcribe one clip; speech spans, class and singing come from `audio.classes` where it ran."""
        return self.many([(clip, views, facts)])[0]

    def many(self, given: Sequence[Given]) -> list[dict[str, Any]]:
        """Transcribe several clips, whose pieces of speech are decoded together."""
        asked = [(views[AUDIO_16K], transcript.evidence_of(facts, self.singing_ratio)) for _, views, facts in given]
        return transcript.rows(asked, self._hear, self.limits)

    def _hear(self, asked: Sequence[transcript.Asked]) -> list[Heard]:
        model = sensevoice_model.load(self.model, self.language or "auto", self.punctuated)
        spans = [spoken_pieces(audio, speech) for audio, speech in asked]
        spoken: list[list[tuple[Span, Spoken]]] = [[] for _ in asked]
        for batch in batches(spans, self.batch):
            found = model.hear([samples(asked[clip][0], span) for clip, span in batch])
            for (clip, span), one in zip(batch, found):
                spoken[clip].append((span, one))
        return [self._heard(audio, told) for (audio, _), told in zip(asked, spoken)]

    def _heard(self, audio: np.ndarray, spoken: list[tuple[Span, Spoken]]) -> Heard:
        """The clip's segments in order of time; language and event are those of its longest piece, the first here."""
        segments = [s for span, one in sorted(spoken, key=lambda told: told[0]) if (s := _segment(span, one)).text]
        if not segments:
            return Heard([])
        main = spoken[0][1]
        named: dict[str, Any] = {"language": self.language or main.language, "more": {"event": main.event}}
        named["language_probability"] = None if self.language else main.language_probability
        if self.align_model:
            timed = aligner.load(self.align_model, named["language"]).timed(segments, np.array(audio))
            if timed:
                return Heard(timed, word_times="wav2vec2", **named)
        return Heard(segments, word_times="ctc", **named)


def _segment(span: Span, spoken: Spoken) -> Segment:
    written = "".join(piece for piece, _, _ in spoken.tokens).replace("▁", " ").strip()
    chances = [chance for _, _, chance in spoken.tokens]
    return Segment(
        text=written,
        start_s=span[0],
        end_s=span[1],
        avg_logprob=float(np.mean(np.log(chances))) if chances else None,
        no_speech_prob=spoken.no_speech_prob,
        compression_ratio=compression_ratio(written),
        words=_words(span, spoken),
        joint="" if spoken.language in UNSPACED else " ",
    )


def _words(span: Span, spoken: Spoken) -> tuple[Word, ...]:
    """Tokens put together to words: one begins at "▁", and, in scripts without spaces, at every letter."""
    groups: list[list[tuple[str, float, float]]] = []
    for piece, at_s, chance in spoken.tokens:
        letter = spoken.language in UNSPACED and piece.isalpha()
        if not groups or piece.startswith("▁") or letter:
            groups.append([])
        groups[-1].append((piece, at_s, chance))
    return tuple(word for group in groups if (word := _word(span, group)).word)


def _word(span: Span, group: list[tuple[str, float, float]]) -> Word:
    text = "".join(piece for piece, _, _ in group).replace("▁", " ").strip()
    start, end = (span[0] + at for at in (group[0][1], group[-1][1] + 0.06))
    return Word(text, min(start, span[1]), min(end, span[1]), float(np.mean([chance for _, _, chance in group])))


STAGE = SenseVoice
