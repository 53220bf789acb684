"""Which of a file's audio tracks is its sound: by an order of preferences that is a setting and part of a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.errors import ConfigError

PREFERENCES = ("default", "channels", "rate")
"""Preferences besides `lang:xxx`: marked as default, the most channels, the highest sample rate."""
DEFAULT_ORDER = ("default", "channels", "rate")
_ASIDE = frozenset({"comment", "visual_impaired", "hearing_impaired", "descriptions", "clean_effects", "karaoke"})


@dataclass(frozen=True)
class Track:
    """One audio stream as its container describes it. language: as tagged (`eng`), "" when it is not.

    disposition: ffmpeg's names (`default`, `comment`, `dub` ...), sorted.
    """

    index: int
    codec: str
    rate: int
    channels: int
    layout: str
    language: str
    disposition: tuple[str, ...]


def ordered(tracks: Sequence[Track], order: Sequence[str] = DEFAULT_ORDER) -> list[Track]:
    """The tracks, most wanted first.

    order: what decides, most important first: `default`, `channels`, `rate`, `lang:xxx`. Before all of it, tracks
    that are not the programme's own sound (commentary, description for the blind) go last; after it, file order.
    """
    check_order(order)
    return sorted(tracks, key=lambda track: (_aside(track), *(_rank(track, by) for by in order), track.index))


def check_order(order: Sequence[str]) -> None:
    """Raise ConfigError for a preference that is none."""
    for by in order:
        if by not in PREFERENCES and not (by.startswith("lang:") and len(by) > len("lang:")):
            raise ConfigError("config:audio_order", f"audio_order has {by!r}: give default, channels, rate or lang:eng")


def _aside(track: Track) -> bool:
    return not _ASIDE.isdisjoint(track.disposition)


def _rank(track: Track, by: str) -> int:
    if by == "default":
        return 0 if "default" in track.disposition else 1
    if by in {"channels", "rate"}:
        return -int(getattr(track, by))
    return 0 if track.language.lower() == by.removeprefix("lang:").lower() else 1
