"""open_nsfw: the authors' input, a number for every clip, and low ones for clean footage."""

from pathlib import Path

import numpy as np
import pytest

from filters.safety.nsfw import MEANS, STAGE, prepared
from media.render import render_views
from media.views import FRAMES, Views
from media.whole import whole_clip


def test_the_models_input_is_blue_first_and_centred() -> None:
    frame = np.zeros((90, 160, 3), np.uint8)
    frame[:] = (200, 100, 50)
    assert prepared(frame).shape == (224, 224, 3)
    assert prepared(frame)[0, 0] == pytest.approx(np.array([50, 100, 200]) - np.array(MEANS))


def test_every_clip_has_a_number() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 90, 160, 3)).astype(np.uint8)
    found = STAGE()(None, Views({FRAMES: frames}), {})
    assert 0 <= found["nsfw_mean"] <= found["nsfw"] <= 1


@pytest.mark.parametrize("name", ["grid/lwbsza.mpg", "video/chaplin.mp4", "video/nasa_13013.mp4"])
def test_clean_footage_is_clean(media_dir: Path, name: str) -> None:
    clip = whole_clip(media_dir / name)
    with render_views(clip, [FRAMES]) as views:
        assert STAGE()(clip, views, {})["nsfw"] < 0.2
