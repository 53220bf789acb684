"""WhisperX on decoded arrays, offline and deterministic: pyannote VAD, beam search at temperature 0, timed words."""

import logging
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from captioners.transcribe.words import Segment, Word

RATE = 16_000


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread inside: sums in a fixed order, so that two runs agree to the last bit."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _import_quietly() -> Any:
    """Import WhisperX and pyannote (seconds) without telemetry, hub, or warnings about decoders klear does not use."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captioners.transcribe.listener import Listener
    for name in ("whisperx", "lightning.pytorch", "lightning.pytorch.utilities.migration.utils", "faster_whisper"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return Listener


@dataclass(frozen=True)
class Setup:
    """What decides the output of a recogniser.

    model: folder of a CTranslate2 Whisper. align_model: folder of a Hugging Face Wav2Vec2ForCTC, or None.
    language: ISO code, or None to detect it in each clip (an English-only model ignores it).
    spoken_numbers: forbid digits, so that numbers come out as they are said. batch: 30 s windows decoded at once.
    """

    model: str
    device: str = "cpu"
    compute_type: str = "int8"
    language: str | None = "en"
    align_model: str | None = None
    spoken_numbers: bool = True
    batch: int = 1


class Recogniser:
    """Hears one clip at a time. Construction loads the models (seconds, mostly imports): use `load`."""

    def __init__(self, setup: Setup) -> None:
        listener = _import_quietly()
        import whisperx.asr

        self.setup = setup
        self.model = listener(
            setup.model, device=setup.device, compute_type=setup.compute_type, cpu_threads=1, local_files_only=True
        )
        self.language = setup.language if self.model.model.is_multilingual else "en"
        self.pipeline = whisperx.asr.load_model(
            setup.model,
            setup.device,
            model=self.model,
            language=self.language,
            asr_options={"temperatures": [0.0], "suppress_numerals": setup.spoken_numbers},
            vad_method="pyannote",
        )
        self.aligner = _load_aligner(setup, self.language or "en") if setup.align_model else None

    def hear(self, audio: np.ndarray) -> tuple[str, str, list[Segment]]:
        """Transcribe mono float32 16 kHz samples (n,).

        Returns the language, what timed the words ("wav2vec2" or "whisper"), and the segments in time order.
        """
        audio = np.array(audio, np.float32)  # views are read-only, which torch warns about
        self.model.decodes.clear()
        with one_thread():
            heard = self.pipeline.transcribe(audio, batch_size=self.setup.batch, language=self.language)
            segments = self._segments(heard["segments"], len(audio) / RATE)
            aligned = [self._align(s, audio) for s in segments] if self.aligner else []
        self.model.decodes.clear()
        if aligned and all(aligned):
            return heard["language"], "wav2vec2", [s.keeping(w) for s, w in zip(segments, aligned)]
        return heard["language"], "whisper", segments

    def _segments(self, found: list[dict[str, Any]], duration_s: float) -> list[Segment]:
        """WhisperX's segments with what the listener kept of them."""
        segments: list[Segment] = []
        for decode in self.model.decodes:
            part = found[len(segments) : len(segments) + len(decode.tokens)]
            times = self.model.word_times(decode, [s["end"] - s["start"] for s in part])
            segments += [_segment(*item, duration_s) for item in zip(part, decode.no_speech, times)]
        return segments

    def _align(self, segment: Segment, audio: np.ndarray) -> tuple[Word, ...]:
        """The segment's words timed by the wav2vec2 aligner; empty when it could not time every word."""
        import whisperx.alignment

        assert self.aligner is not None
        model, metadata = self.aligner
        row = {"text": segment.text, "start": segment.start_s, "end": segment.end_s}
        words = whisperx.alignment.align([row], model, metadata, audio, self.setup.device)["word_segments"]
        if not all("start" in w and "end" in w for w in words):
            return ()
        return tuple(Word(w["word"], float(w["start"]), float(w["end"]), float(w.get("score", 0.0))) for w in words)


def _segment(row: dict[str, Any], no_speech: float, words: list[dict[str, Any]], duration_s: float) -> Segment:
    text = row["text"].strip()
    timed = [_word(w, float(row["start"]), duration_s) for w in _whole_words(words)]
    return Segment(
        text=text,
        start_s=float(row["start"]),
        end_s=min(float(row["end"]), duration_s),
        avg_logprob=float(row["avg_logprob"]),
        no_speech_prob=float(no_speech),
        compression_ratio=compression_ratio(text),
        words=tuple(timed),
    )


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


def compression_ratio(text: str) -> float:
    """UTF-8 bytes over zlib bytes, Whisper's own measure of repetition; 0 for an empty text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


class _OneSentence:
    """Stands in for nltk's sentence splitter, which is a download: the whole segment is one sentence."""

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def _load_aligner(setup: Setup, language: str) -> tuple[Any, dict[str, Any]]:
    import whisperx.alignment

    whisperx.alignment.nltk_load = lambda _: _OneSentence()
    return whisperx.alignment.load_align_model(
        language, setup.device, model_name=setup.align_model, model_cache_only=True
    )


@lru_cache(maxsize=1)
def load(setup: Setup) -> Recogniser:
    """The process's recogniser, loaded at the first call; another setup replaces it."""
    return Recogniser(setup)
