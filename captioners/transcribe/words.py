"""What a recogniser heard: segments and their timed words, free of any model's types."""

from dataclasses import dataclass, field, replace


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

    avg_logprob: mean log probability of its tokens (nats). no_speech_prob: Whisper's own doubt that this is speech.
    compression_ratio: UTF-8 bytes over zlib bytes of the text; loops ("yes yes yes ...") compress far above 2.4.
    """

    text: str
    start_s: float
    end_s: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    words: tuple[Word, ...] = field(default=())

    def keeping(self, words: tuple[Word, ...]) -> "Segment":
        """The same segment with only `words`, and the text that they spell."""
        return replace(self, words=words, text=" ".join(w.word for w in words))
