"""Looks: their text is canonical, and tags become what players would show."""

from dataclasses import replace

import pytest

from media.colours import look_of
from media.look import Look

HD, SD = (1920, 1080), (720, 576)


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (Look(), ""),
        (Look(matrix="bt601", range="full"), "matrix=bt601;range=full"),
        (Look(frame=(1920, 1080), pixels="yuv420p", turn="clock"), "frame=1920:1080;pixels=yuv420p;turn=clock"),
        (Look(light="pq", matrix="bt2020", field="tff"), "matrix=bt2020;light=pq;field=tff"),
        (Look(alpha="libvpx-vp9", crop=(720, 304, 0, 88)), "alpha=libvpx-vp9;crop=720:304:0:88"),
    ],
)
def test_text_and_back(look: Look, text: str) -> None:
    assert str(look) == text and Look.parse(text) == look


@pytest.mark.parametrize(
    "text",
    [
        "light=hdr",
        "matrix=bt709",
        "shine=1",
        "field=tff;light=pq",
        "crop=1:2:3",
        "alpha=h264_v4l2m2m",
        "field",
        "frame=1:2:3",
        "pixels=a,b",
    ],
)
def test_what_is_no_look(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Look.parse(text)


def test_tags_become_looks() -> None:
    def of(matrix: str = "unknown", transfer: str = "unknown", primaries: str = "unknown", size=HD) -> Look:  # type: ignore[no-untyped-def]
        return replace(look_of(matrix, transfer, primaries, "unknown", size), frame=None)

    assert of() == Look() and of(size=SD) == Look(matrix="bt601") and of("bt709", size=SD) == Look()
    assert of("bt2020nc", "smpte2084", "bt2020") == of(transfer="smpte2084") == Look(matrix="bt2020", light="pq")
    assert of(transfer="arib-std-b67").light == "hlg" and of(primaries="bt2020").light == "wide"
    assert of("gbr") == Look() and of("smpte170m").matrix == "bt601"
    with pytest.raises(ValueError, match="ictcp"):
        of("ictcp")
