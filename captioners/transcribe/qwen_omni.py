"""Transcript by Qwen2.5-Omni or Qwen3-Omni, which knows the world beside what it hears: slow, and strong."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import yaml

from captioners import omni
from captioners.omni import Answer, Prompt
from captioners.transcribe import aligner, transcript
from captioners.transcribe.guard import Limits
from captioners.transcribe.pieces import RATE, Span, batches, samples, spoken_pieces
from captioners.transcribe.settings import Pieces
from captioners.transcribe.words import UNSPACED, Heard, Segment, compression_ratio
from manifests.errors import ConfigError
from manifests.settings import checked
from media import weights_at
from media.clip import Clip
from media.stage import Bounds, Facts, Given
from media.views import AUDIO_16K, View, Views
from media.weights import sha256_of

PROMPTS = Path(__file__).parent / "prompts"
_LANGUAGE = re.compile(r"\s*([a-z]{2,3})\s*(?:\n|$)")
_NOBODY = "-"


class QwenOmni:
    """`transcribe.qwen_omni`: the columns of `transcribe.whisperx`; `prompt`, what was asked; tokens read and written.

    model: folder of a Qwen-Omni; default $KLEAR_WEIGHTS/qwen_omni. It tells neither times nor doubts, so `avg_logprob`
    and `no_speech_prob` are NULL, and `words` are empty without align_model, the folder of a Wav2Vec2ForCTC. prompt:
    file in `captioners/transcribe/prompts`. tokens_per_s: at most so many tokens are written a second of sound (and 16
    more). device, dtype: of torch. batch: pieces of speech at once. singing_ratio, limits: as of `transcribe.whisperx`.
    Decoding takes the likeliest token, so the same clip has the same text.
    """

    NAME = "transcribe.qwen_omni"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        **transcript.COLUMNS,
        "prompt": pa.string(),
        "prompt_tokens": pa.int32(),
        "tokens": pa.int32(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {**transcript.RANGES, "prompt_tokens": (0, None), "tokens": (0, None)}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = transcript.INPUTS
    LICENCE = "Apache-2.0 (transformers; Qwen2.5-Omni-7B, Qwen3-Omni-30B-A3B); of the model in its own folder"
    COST = None  # not measured

    def __init__(
        self,
        *,
        model: str | None = None,
        prompt: str = "words_v1",
        align_model: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        batch: int = 1,
        tokens_per_s: float = 12.0,
        singing_ratio: float = 0.2,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.asked = PROMPTS / f"{prompt}.yaml"
        if not self.asked.is_file():
            known = sorted(file.stem for file in PROMPTS.glob("*.yaml"))
            raise ConfigError("config:prompt", f"{self.NAME}: prompt = {prompt!r}; use one of {known}")
        self.model = model or str(weights_at.below("qwen_omni"))
        self.device, self.dtype = device, dtype
        self.batch = checked(Pieces, {"batch": batch}, self.NAME).batch
        self.align_model, self.tokens_per_s = align_model, tokens_per_s
        self.singing_ratio, self.limits = singing_ratio, Limits(**(limits or {}))
        self.BACKEND = f"{Path(self.model).name} (transformers)"
        self.LICENCE = "; ".join([self.LICENCE, *aligner.licences(align_model)])

    def digest(self) -> str:
        """Of the model's folder, the prompt, and the aligner. Raises BackendAbsent backend:weights without."""
        files = [self.asked, *aligner.files(self.align_model)]
        parts = [omni.digest(self.model, self.NAME), *(sha256_of(file) for file in files)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Transcribe one clip; speech spans, class and singing come from `audio.classes` where it ran."""
        return self.many([(clip, views, facts)])[0]

    def many(self, given: Sequence[Given]) -> list[dict[str, Any]]:
        """Transcribe several clips, whose pieces of speech are written down together."""
        asked = [(views[AUDIO_16K], transcript.evidence_of(facts, self.singing_ratio)) for _, views, facts in given]
        return transcript.rows(asked, self._hear, self.limits)

    def _hear(self, asked: Sequence[transcript.Asked]) -> list[Heard]:
        model, words = omni.load(self.model, self.device, self.dtype), yaml.safe_load(self.asked.read_text())
        spans = [spoken_pieces(audio, speech) for audio, speech in asked]
        answers: list[list[tuple[Span, Answer]]] = [[] for _ in asked]
        for batch in batches(spans, self.batch):
            sounds = [samples(asked[clip][0], span) for clip, span in batch]
            prompts = [Prompt(words["system"], words["user"], audio=sound) for sound in sounds]
            most = 16 + int(self.tokens_per_s * max(len(sound) for sound in sounds) / RATE)
            for (clip, span), answer in zip(batch, model.generate(prompts, most, seed=0)):
                answers[clip].append((span, answer))
        return [self._heard(audio, told) for (audio, _), told in zip(asked, answers)]

    def _heard(self, audio: np.ndarray, answers: list[tuple[Span, Answer]]) -> Heard:
        """The clip's segments; the language is that of its longest piece, the first here."""
        more = {
            "prompt": self.asked.stem,
            "prompt_tokens": sum(answer.prompt_tokens for _, answer in answers),
            "tokens": sum(answer.tokens for _, answer in answers),
        }
        told = [(span, *parted(answer.text)) for span, answer in answers]
        language = next((code for _, code, text in told if code and text), None)
        segments = [_segment(span, text, language) for span, _, text in sorted(told, key=lambda t: t[0]) if text]
        if segments and self.align_model and language:
            timed = aligner.load(self.align_model, language, self.device).timed(segments, np.array(audio))
            if timed:
                return Heard(timed, language, None, "wav2vec2", more)
        return Heard(segments, language, more=more)


def parted(answer: str) -> tuple[str | None, str]:
    """The language code on the first line, None where there is none, and the transcript, "" where nobody speaks."""
    code = _LANGUAGE.match(answer)
    text = " ".join((answer[code.end() :] if code else answer).split())
    return (code[1] if code else None), "" if text == _NOBODY else text


def _segment(span: Span, text: str, language: str | None) -> Segment:
    joint = "" if language in UNSPACED else " "
    return Segment(text, *span, None, None, compression_ratio(text), joint=joint)


STAGE = QwenOmni
