"""Is a source that says it is interlaced really so, and which field comes first? ffmpeg's idet looks at a few places.

The flags alone will not do: films are stored as progressive frames under an interlaced flag (a deinterlacer would only
cost them sharpness), and `tb` and `bt` in QuickTime's field atom are written either way round.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from media import cut, ffmpeg
from media.child import Limits
from media.clip import clip_from_probe
from media.probe import Probe
from media.scratch import Scratch

_PLACES = 5
_FRAMES = 50
_ENOUGH = 10
_SHARE = 0.1
_CLEAR = 3
_KINDS = ("tff", "bff", "progressive")
_LIMITS = Limits(timeout_s=120.0, max_rss=3 << 30, max_file=16 << 20)


def confirm(path: Path, found: Probe) -> str:
    """The `field` of the source's look: "" when its frames are whole pictures, else `tff`, `bff` or `auto`.

    Only a flagged source is looked at, at five places. Where too little moves to tell, the flag is believed.
    Raises MediaError as `media.ffmpeg.run`.
    """
    if not found.video.look.field:
        return ""
    seen = dict.fromkeys(_KINDS, 0)
    places = range(_PLACES) if found.video.frames > 2 * _PLACES * _FRAMES else range(1)
    for place in places:
        start = (2 * place + 1) * found.video.frames // (2 * _PLACES) if len(places) > 1 else 0
        for kind, count in _count(path, found, start).items():
            seen[kind] += count
    return decide(seen)


def decide(seen: Mapping[str, int]) -> str:
    """The field order that idet's counts of frames (`tff`, `bff`, `progressive`) amount to."""
    woven = seen["tff"] + seen["bff"]
    if woven + seen["progressive"] < _ENOUGH:
        return "auto"
    if woven < _SHARE * (woven + seen["progressive"]):
        return ""
    if max(seen["tff"], seen["bff"]) < _CLEAR * min(seen["tff"], seen["bff"]):
        return "auto"
    return "tff" if seen["tff"] > seen["bff"] else "bff"


def _count(path: Path, found: Probe, start: int) -> dict[str, int]:
    """idet's counts over some frames around grid frame `start`; where nothing decodes there, none."""
    clip = clip_from_probe(path, found, start, _FRAMES, clip_id=bytes(16), source_id=bytes(16))
    video = cut.open_range(replace(clip, audio_rate=0), cut.Opening(0.0 if start else None))[0]
    with Scratch() as notes:
        looked = video.filter("trim", end_frame=2 * _FRAMES).filter("idet")
        looked = looked.filter("metadata", mode="print", file=ffmpeg.file_url(notes.path))
        ffmpeg.run(ffmpeg.compile_argv(looked.output("-", f="null")), _LIMITS, [notes.fd])
        return _read(notes.read().decode())


def _read(notes: str) -> dict[str, int]:
    """The last count of each kind: idet counts up."""
    counts = dict.fromkeys(_KINDS, 0)
    for line in notes.splitlines():
        key, _, value = line.partition("=")
        kind = key.removeprefix("lavfi.idet.multiple.")
        if kind in counts and key != kind:
            counts[kind] = int(float(value))
    return counts
