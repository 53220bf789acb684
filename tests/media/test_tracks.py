"""Audio tracks: the choice follows the setting, and odd tracks go last."""

import pytest

from manifests.errors import ConfigError
from media.tracks import Track, ordered


def _track(index: int, channels: int = 2, language: str = "", rate: int = 48_000, *disposition: str) -> Track:
    return Track(index, "aac", rate, channels, "", language, disposition)


FILE = [
    _track(1, 2, "fre"),
    _track(2, 6, "eng"),
    _track(3, 2, "eng", 48_000, "default"),
    _track(4, 8, "eng", 48_000, "comment", "default"),
]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["default", "channels", "rate"], [3, 2, 1, 4]),
        (["channels"], [2, 1, 3, 4]),
        (["lang:fre", "channels"], [1, 2, 3, 4]),
        (["lang:ENG", "default"], [3, 2, 1, 4]),
        ([], [1, 2, 3, 4]),
    ],
)
def test_order(order: list[str], expected: list[int]) -> None:
    assert [track.index for track in ordered(FILE, order)] == expected


def test_equal_tracks_are_told_apart_by_rate() -> None:
    assert [t.index for t in ordered([_track(1, rate=8000), _track(4, rate=16_000)])] == [4, 1]


def test_a_wrong_preference_is_an_error() -> None:
    with pytest.raises(ConfigError, match="loudest"):
        ordered(FILE, ["loudest"])
