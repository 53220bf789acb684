"""Word times by forced alignment: WhisperX's aligner with a wav2vec2 from a local folder, for any recogniser's text."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from captioners.transcribe.quiet import quiet_imports
from captioners.transcribe.words import Segment, Word
from manifests.errors import BackendAbsent


class Aligner:
    """Finds when each word of a known text is said. Use `load`.

    folder: a Hugging Face Wav2Vec2ForCTC. language: ISO code, which decides how the text is parted into words.
    """

    def __init__(self, folder: str, language: str, device: str = "cpu") -> None:
        quiet_imports()
        import whisperx.alignment

        whisperx.alignment.nltk_load = lambda _: _OneSentence()
        self.model, self.metadata = whisperx.alignment.load_align_model(
            language, device, model_name=folder, model_cache_only=True
        )
        self.device = device

    def words(self, segment: Segment, audio: np.ndarray) -> tuple[Word, ...]:
        """The segment's words in `audio`, the clip's float32 samples (n,) at 16 kHz; empty when one got no time."""
        import whisperx.alignment

        row = {"text": segment.text, "start": segment.start_s, "end": segment.end_s}
        found = whisperx.alignment.align([row], self.model, self.metadata, audio, self.device)["word_segments"]
        if not all("start" in w and "end" in w for w in found):
            return ()
        return tuple(Word(w["word"], float(w["start"]), float(w["end"]), float(w.get("score", 0.0))) for w in found)

    def timed(self, segments: list[Segment], audio: np.ndarray) -> list[Segment] | None:
        """The segments with their words timed by the aligner, or None when it could not time every word."""
        words = [self.words(segment, audio) for segment in segments]
        return [s.keeping(w) for s, w in zip(segments, words)] if words and all(words) else None


class _OneSentence:
    """Stands in for nltk's sentence splitter, which is a download: the whole segment is one sentence."""

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def files(folder: str | None) -> list[Path]:
    """The files that decide what an aligner says. Raises BackendAbsent backend:weights when the folder has none."""
    if folder is None:
        return []
    found = sorted(p for p in Path(folder).glob("*") if p.suffix in {".safetensors", ".bin"} or p.name == "vocab.json")
    if len(found) < 2:
        raise BackendAbsent(
            "backend:weights",
            f"align_model: {folder} holds no weights with a vocab.json; give the folder of a Wav2Vec2ForCTC, e.g. of "
            "facebook/wav2vec2-base-960h (Apache-2.0), or leave it out",
        )
    return found


def licences(folder: str | None) -> list[str]:
    """The licence of an aligner where one is used, as of a stage."""
    return ["of the aligner in its own folder"] if folder else []


@lru_cache(maxsize=2)
def load(folder: str, language: str, device: str = "cpu") -> Aligner:
    """The process's aligner for a language, loaded at the first call."""
    return Aligner(folder, language, device)
