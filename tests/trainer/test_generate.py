"""What a prompt becomes before anything is sampled."""

import pytest
import torch

from trainer.generate import _blank
from trainer.space import LatentSpace


@pytest.mark.parametrize(("sizes", "cells"), [([[64, 48], [48, 64]], (3, 4)), ([], (5, 8)), (None, (5, 8))])
def test_a_prompt_gets_a_trained_size(tiny, sizes, cells):
    """The first class of sizes; width and height only where there are no classes."""
    encoded = {"width": 128, "height": 80} | ({} if sizes is None else {"sizes": sizes})
    space = LatentSpace(encoded, None, None)  # type: ignore[arg-type]
    sample = _blank(space, tiny, torch.zeros(2, 7), 0)
    assert tuple(sample.video.shape[1:3]) == cells
