"""The stage that splits a clip's sound into voice and background and says how loud each is."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from captioners.separate import splitters
from media.clip import Clip
from media.stage import Facts, Given, Row
from media.views import AudioView, View, Views

RATE = 44_100
MONO, STEREO = AudioView("audio_44k", rate=RATE, channels=1), AudioView("stereo_44k", rate=RATE, channels=2)
SILENCE_DB = -120.0  # what digital silence is reported as, so that levels stay finite
FLOOR_DB = -35.0
"""RMS below which a stem counts as empty. Foley-Omni (arXiv 2606.03672, section 3.1; their three stems by Bandit, the
bound by inspecting a small set) leaves a field of the caption empty below it; known to us from
github.com/xiaojian-pika/data-wiki, en/models/Foley-Omni.md."""


class Stems:
    """`separate.stems`: RMS of the voice stem and of the background stem, dBFS; the stems themselves when asked.

    backend: hpss_residual (no weights), deepfilternet (48 kHz speech enhancer), or demucs, whose settings (`model`,
    `name`, `on`, ... see `Demucs`) are given beside it. Demucs is given both channels, which costs twice the memory
    of the view and no time (it always runs on two); the others hear their mean. A level is that of all channels.
    empty: those of voice, background that are below floor_db, or were not split off. keep: store the stems that are
    not empty as FLAC, in a tar a part beside the table; else they are gone with the clip.
    Clips that `audio.classes` heard no voice in are not split or kept: all of the mix is background, voice is NULL.
    """

    NAME = "separate.stems"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "backend": pa.string(),
        "voice_db": pa.float64(),
        "background_db": pa.float64(),
        "empty": pa.list_(pa.string()),
    }
    INPUTS: tuple[str, ...] = ("audio.classes",)

    def __init__(
        self, *, backend: str = "hpss_residual", keep: bool = False, floor_db: float = FLOOR_DB, **settings: Any
    ) -> None:
        self.splitter = splitters.make(backend, **settings)
        self.backend, self.keep, self.floor_db = backend, keep, floor_db
        self.BACKEND, self.LICENCE, self.COST = self.splitter.BACKEND, self.splitter.LICENCE, self.splitter.COST
        self.VIEWS: tuple[View, ...] = (STEREO if self.splitter.CHANNELS == 2 else MONO,)

    def digest(self) -> str:
        """Of the splitter's model; for hpss_residual, a formula, of librosa's version."""
        return self.splitter.digest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Split one clip's 44.1 kHz mix."""
        return self.many([(clip, views, facts)])[0]

    def many(self, given: Sequence[Given]) -> list[dict[str, Any]]:
        """The columns of several clips; those with a voice are split together."""
        mixes = [views[self.VIEWS[0]] for _, views, _ in given]
        voiced = [i for i, (_, _, facts) in enumerate(given) if has_voice(facts.get("audio.classes"))]
        found = dict(zip(voiced, splitters.split_many(self.splitter, [mixes[i] for i in voiced], RATE)))
        return [self._row(mix, found.get(i)) for i, mix in enumerate(mixes)]

    def _row(self, mix: np.ndarray, stems: splitters.Stems | None) -> dict[str, Any]:
        if stems is None:
            level = level_db(mix)
            return {"background_db": level, "empty": ["voice"] + ["background"] * (level < self.floor_db)}
        named = dict(zip(("voice", "background"), stems))
        levels = {name: level_db(stem) for name, stem in named.items()}
        empty = [name for name, level in levels.items() if level < self.floor_db]
        row = {"backend": self.backend, "empty": empty, **{f"{name}_db": level for name, level in levels.items()}}
        kept = {f"{name}.flac": flac(stem) for name, stem in named.items() if name not in empty}
        return {**row, "_files": kept} if self.keep else row


def has_voice(classes: Row | None) -> bool:
    """Whether somebody speaks or sings in the clip, or nobody measured it."""
    if classes is None or classes.get("audio_class") is None:
        return True
    voiced = max(classes.get("speech_ratio") or 0.0, classes.get("singing_ratio") or 0.0)
    return classes["audio_class"] in {"speech", "singing"} or voiced >= 0.1


def level_db(audio: np.ndarray) -> float:
    """RMS of float samples (n,) or (n, channels) in dBFS, -120 for silence."""
    power = float(np.mean(np.square(audio, dtype=np.float64))) if len(audio) else 0.0
    return max(SILENCE_DB, float(10 * np.log10(power))) if power > 0 else SILENCE_DB


def flac(audio: np.ndarray) -> bytes:
    """Float samples (n,) or (n, 2) at 44.1 kHz as 16-bit FLAC, clipped to full scale."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(audio, -1.0, 1.0), RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


STAGE = Stems
