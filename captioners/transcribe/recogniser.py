"""WhisperX on decoded arrays, offline and deterministic: pieces of speech of several clips in batches, timed words.

WhisperX's model class, front end, VAD and options; its loop over one file is replaced by one over the pieces of many
clips, the longest first, so that what is decoded together takes about equally long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from captioners.transcribe import aligner
from captioners.transcribe.pieces import RATE, WINDOW_S, Span, batches, cut, joined, samples
from captioners.transcribe.quiet import quiet_imports
from captioners.transcribe.transcript import Asked
from captioners.transcribe.words import UNSPACED, Heard, Segment, Word, compression_ratio
from media import packaged_whisper
from media.one_thread import one_thread

ISO = {"jw": "jv", "iw": "he"}
"""Whisper's own codes where ISO 639-1 has another."""


@dataclass(frozen=True)
class Setup:
    """What decides the output of a recogniser.

    model: `tiny.en`, `base` (multilingual), or the folder of a CTranslate2 Whisper. align_model: folder of a Hugging
    Face Wav2Vec2ForCTC, or None. language: ISO code, or None to detect it in each clip (an English-only model ignores
    it). spoken_numbers: forbid digits, so that numbers come out as they are said. batch: pieces decoded at once.
    """

    model: str
    device: str = "cpu"
    compute_type: str = "int8"
    language: str | None = "en"
    align_model: str | None = None
    spoken_numbers: bool = True
    batch: int = 1


class Recogniser:
    """Hears clips. Construction loads the models (seconds, mostly imports): use `load`."""

    def __init__(self, setup: Setup) -> None:
        quiet_imports()
        import whisperx.asr

        from captioners.transcribe.listener import Listener

        self.setup = setup
        given = {**packaged_whisper.source(setup.model), "device": setup.device, "compute_type": setup.compute_type}
        self.model = Listener(**given, cpu_threads=1, local_files_only=True)
        self.language = setup.language if self.model.model.is_multilingual else "en"
        self.pipeline = whisperx.asr.load_model(
            setup.model, setup.device, model=self.model, asr_options={"temperatures": [0.0]}, vad_method="pyannote"
        )

    def hear(self, asked: Sequence[Asked]) -> list[Heard]:
        """What is said in each clip, in order; WhisperX's own VAD says where, if the asker does not know."""
        with one_thread():
            spans = [self._voiced(a) if speech is None else cut(speech, len(a) / RATE) for a, speech in asked]
            spoken = self._languages([joined(a, speech or found) for (a, speech), found in zip(asked, spans)])
            segments: list[list[Segment]] = [[] for _ in asked]
            for batch in batches(spans, self.setup.batch, [code for code, _ in spoken]):
                for (clip, _), segment in zip(batch, self._decode(batch, asked, spoken[batch[0][0]][0])):
                    segments[clip].append(segment)
            return [self._heard(a[0], found, told) for a, found, told in zip(asked, segments, spoken)]

    def _voiced(self, audio: np.ndarray) -> list[Span]:
        """Pieces of at most 30 s by WhisperX's own VAD (pyannote)."""
        vad, limits = self.pipeline.vad_model, self.pipeline._vad_params
        found = vad({"waveform": vad.preprocess_audio(np.array(audio)), "sample_rate": RATE})
        rows = vad.merge_chunks(found, int(WINDOW_S), onset=limits["vad_onset"], offset=limits["vad_offset"])
        return [(float(row["start"]), min(float(row["end"]), len(audio) / RATE)) for row in rows]

    def _languages(self, speech: Sequence[np.ndarray]) -> list[tuple[str, float | None]]:
        """Whisper's code of the language of each clip, and its probability where it was identified."""
        if self.language is not None:
            return [(self.language, None)] * len(speech)
        windows = [[(0.0, min(WINDOW_S, len(audio) / RATE))] if len(audio) else [] for audio in speech]
        found: dict[int, tuple[str, float | None]] = {}
        for batch in batches(windows, self.setup.batch):
            told = self.model.languages([samples(speech[clip], span) for clip, span in batch])
            found |= dict(zip([clip for clip, _ in batch], told))
        return [found.get(i, ("", None)) for i in range(len(speech))]

    def _features(self, audio: np.ndarray) -> np.ndarray:
        """Log-mel (n_mels, 3000) of at most 30 s."""
        features: np.ndarray = self.pipeline.preprocess({"inputs": np.array(audio, np.float32)})["inputs"].numpy()
        return features

    def _decode(self, batch: Sequence[tuple[int, Span]], asked: Sequence[Asked], language: str) -> list[Segment]:
        """The segments of pieces of one language, decoded together."""
        sounds = [samples(asked[clip][0], span) for clip, span in batch]
        tokenizer, suppressed = self._spelling(language)
        options = replace(self.pipeline.options, suppress_tokens=suppressed)
        decode = self.model.decode(np.stack([self._features(sound) for sound in sounds]), tokenizer, options)
        words = self.model.word_times(decode, [len(sound) / RATE for sound in sounds])
        joint = "" if language in UNSPACED else " "
        return [
            Segment(
                text=text.strip(),
                start_s=span[0],
                end_s=span[1],
                avg_logprob=logprob,
                no_speech_prob=doubt,
                compression_ratio=compression_ratio(text.strip()),
                words=tuple(_word(word, span[0], len(asked[clip][0]) / RATE) for word in _whole_words(timed)),
                joint=joint,
            )
            for (clip, span), text, logprob, doubt, timed in zip(
                batch, decode.texts, decode.logprobs, decode.no_speech, words
            )
        ]

    @lru_cache(maxsize=100)  # noqa: B019 (lives as long as the process's one recogniser)
    def _spelling(self, language: str) -> tuple[Any, list[int]]:
        """The tokenizer of a language, and the tokens that are not to be written."""
        import whisperx.asr

        words = self.model.hf_tokenizer, self.model.model.is_multilingual
        tokenizer = whisperx.asr.Tokenizer(*words, task="transcribe", language=language)
        digits = whisperx.asr.find_numeral_symbol_tokens(tokenizer) if self.setup.spoken_numbers else []
        return tokenizer, sorted({*digits, *self.pipeline.options.suppress_tokens})

    def _heard(self, audio: np.ndarray, segments: list[Segment], spoken: tuple[str, float | None]) -> Heard:
        ordered = sorted((s for s in segments if s.text), key=lambda s: s.start_s)
        if not ordered:
            return Heard([])
        language, probability = ISO.get(spoken[0], spoken[0]), spoken[1]
        if self.setup.align_model:
            by_force = aligner.load(self.setup.align_model, language, self.setup.device)
            timed = by_force.timed(ordered, np.array(audio))
            if timed:
                return Heard(timed, language, probability, "wav2vec2")
        return Heard(ordered, language, probability, "whisper")


def _whole_words(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join what Whisper's tokens split inside a word ("post", "-mortem"): a part without its space continues."""
    whole: list[dict[str, Any]] = []
    for word in words:
        if whole and not word["word"].startswith(" ") and word["word"][:1] in "-'’":
            last = whole[-1]
            score = min(last["probability"], word["probability"])
            whole[-1] = {**last, "word": last["word"] + word["word"], "end": word["end"], "probability": score}
        else:
            whole.append(word)
    return whole


def _word(word: dict[str, Any], offset_s: float, duration_s: float) -> Word:
    start, end = (min(max(offset_s + float(word[side]), 0.0), duration_s) for side in ("start", "end"))
    return Word(word["word"].strip(), start, end, float(word["probability"]))


@lru_cache(maxsize=1)
def load(setup: Setup) -> Recogniser:
    """The process's recogniser, loaded at the first call; another setup replaces it."""
    return Recogniser(setup)
