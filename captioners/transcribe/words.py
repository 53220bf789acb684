"""What a recogniser heard: segments and their timed words, free of any model's types."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my"})
"""Languages written without spaces: there a "word" is a letter, as far as models time it."""


@dataclass(frozen=True)
class Word:
    """One word as written (with its punctuation), its times in seconds of the clip, and its probability (0..1)."""

    word: str
    start_s: float
    end_s: float
    score: float

    @property
    def middle_s(self) -> float:
        """Centre of the word, in seconds of the clip."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class Segment:
    """One decoded stretch of speech, times in seconds of the clip.

    avg_logprob: mean log probability of its tokens (nats). no_speech_prob: the model's own doubt that this is speech.
    Both None where a model does not tell.
    joint: what stands between words in writing, a space or nothing.
    """

    text: str
    start_s: float
    end_s: float
    avg_logprob: float | None
    no_speech_prob: float | None
    compression_ratio: float
    words: tuple[Word, ...] = field(default=())
    joint: str = " "

    def keeping(self, words: tuple[Word, ...]) -> "Segment":
        """The same segment with only `words`, and the text that they spell."""
        return replace(self, words=words, text=self.joint.join(w.word for w in words))


@dataclass(frozen=True)
class Heard:
    """All that was heard in one clip, before any doubt.

    segments: in time order. language: ISO code, or None when unknown. language_probability: None where the language
    was given, not identified. word_times: what timed the words (whisper, wav2vec2, ctc), None without words. more:
    columns of the backend's own.
    """

    segments: Sequence[Segment]
    language: str | None = None
    language_probability: float | None = None
    word_times: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def compression_ratio(text: str) -> float:
    """UTF-8 bytes over zlib bytes, Whisper's measure of repetition: loops ("yes yes yes ...") lie far above 2.4."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
