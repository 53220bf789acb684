"""Classes of sizes: nearest in shape, largest of that shape, never enlarged beyond the bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from manifests.errors import MediaError
from trainer.data.classes import enlargement, size_for
from trainer.data.encode_settings import EncodeSettings

SIZES = ((448, 256), (256, 144), (256, 448), (320, 320))


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((1920, 1080), (448, 256)),
        ((854, 480), (448, 256)),
        ((320, 180), (256, 144)),
        ((1080, 1920), (256, 448)),
        ((640, 640), (320, 320)),
        ((640, 480), (448, 256)),
        ((300, 640), (256, 448)),
    ],
)
def test_a_clip_goes_to_the_largest_size_of_its_shape(source: tuple[int, int], size: tuple[int, int]) -> None:
    assert size_for(source, SIZES, 1.0) == size


def test_too_small_is_an_error_or_the_least_enlargement() -> None:
    with pytest.raises(MediaError, match=r"160x120 would be scaled up 1.60 times, 1.5 are allowed"):
        size_for((160, 120), SIZES, 1.5)
    assert size_for((160, 120), SIZES, None) == (256, 144)
    assert size_for((160, 120), SIZES, 1.61) == (256, 144)


@given(st.integers(16, 4000), st.integers(16, 4000), st.floats(1, 4))
def test_no_picture_is_enlarged_beyond_the_bound(width: int, height: int, most: float) -> None:
    try:
        size = size_for((width, height), SIZES, most)
    except MediaError:
        assert all(enlargement((width, height), size) > most for size in SIZES)
    else:
        assert enlargement((width, height), size) <= most + 1e-9


def test_sizes_are_whole_cells() -> None:
    assert EncodeSettings().classes == ((128, 80),)
    assert EncodeSettings(sizes=((64, 48),)).classes == ((64, 48),)
    with pytest.raises(ValidationError, match="multiples of 16"):
        EncodeSettings(sizes=((64, 50),))
