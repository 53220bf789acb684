"""A Whisper model that keeps what WhisperX throws away: no-speech probabilities and the means to time words.

WhisperX decodes without timestamps and leaves word times to a wav2vec2 aligner, which it downloads. `Listener` keeps
the encoder output of every decode, so that faster-whisper can time the words (cross-attention and dynamic time
warping) without encoding again. Importing this module costs seconds: import it inside functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import TranscriptionOptions, merge_punctuations
from whisperx.asr import WhisperModel

FRAMES_PER_SECOND = 100  # mel frames: hop 160 at 16 kHz
PREPENDED, APPENDED = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # punctuation that belongs to the next, the previous word


@dataclass(frozen=True)
class Decode:
    """One batch as it was decoded: the encoder output (N, 1500, d), and per item its text tokens, its text, the mean
    log probability of a token (nats) and the no-speech probability."""

    encoded: Any
    tokenizer: Tokenizer
    tokens: list[list[int]]
    texts: list[str]
    logprobs: list[float]
    no_speech: list[float]


class Listener(WhisperModel):
    """`whisperx.asr.WhisperModel` that decodes batches and tells all it knows of them."""

    def languages(self, speech: Sequence[np.ndarray]) -> list[tuple[str, float]]:
        """(code, probability in [0, 1]) of each sound, float32 (n,) at 16 kHz; Whisper's own codes.

        Shorter ones than 30 s are padded after the front end, as faster-whisper does: padded with silence before it, as
        for decoding, an Italian sentence is Italian with 0.41 instead of 0.86.
        """
        window = self.feature_extractor.nb_max_frames
        features = [pad_or_trim(self.feature_extractor(sound)[..., :window]) for sound in speech]
        found = self.model.detect_language(self.encode(np.stack(features)))
        return [(best[0][0].strip("<|>"), float(best[0][1])) for best in found]

    def decode(self, features: Any, tokenizer: Tokenizer, options: TranscriptionOptions) -> Decode:
        """Beam search at temperature 0 of log-mel windows (N, n_mels, 3000)."""
        encoded = self.encode(features)
        prompt = self.get_prompt(tokenizer, [], without_timestamps=True, prefix=options.prefix)
        results = self.model.generate(
            encoded,
            [prompt] * features.shape[0],
            beam_size=options.beam_size,
            patience=options.patience,
            length_penalty=options.length_penalty,
            max_length=self.max_length,
            suppress_blank=options.suppress_blank,
            suppress_tokens=options.suppress_tokens,
            sampling_temperature=0.0,
            return_scores=True,
            return_no_speech_prob=True,
        )
        tokens = [[t for t in r.sequences_ids[0] if t < tokenizer.eot] for r in results]
        texts = [tokenizer.decode(t) for t in tokens]
        logprobs = [_mean(r, options) for r in results]
        return Decode(encoded, tokenizer, tokens, texts, logprobs, [float(r.no_speech_prob) for r in results])

    def word_times(self, decode: Decode, seconds: list[float]) -> list[list[dict[str, Any]]]:
        """Per item of a batch its words {word, start, end, probability}, in seconds from the start of the item.

        seconds: the length of each item before it was padded to 30 s.
        """
        if not any(decode.tokens):
            return [[] for _ in decode.tokens]
        frames = [max(1, int(s * FRAMES_PER_SECOND)) for s in seconds]
        found = self.find_alignment(decode.tokenizer, decode.tokens, decode.encoded, frames)
        return [_after_pauses(words) for words in found]


def _after_pauses(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Words with their punctuation; what is too long, as a pause before a word counts to it, begins later.

    faster-whisper does so as well, but lets one item of a batch depend on the one before.
    """
    merge_punctuations(words, PREPENDED, APPENDED)
    words = [word for word in words if word["word"]]
    longest = 2 * min(0.7, float(np.median([w["end"] - w["start"] for w in words]))) if words else 0.0
    return [{**word, "start": max(word["start"], word["end"] - max(longest, 0.2))} for word in words]


def _mean(result: Any, options: TranscriptionOptions) -> float:
    """Mean log probability a token, end token included (scores come divided by length ** length_penalty)."""
    length = len(result.sequences_ids[0])
    return float(np.float64(result.scores[0]) * length**options.length_penalty / (length + 1))
