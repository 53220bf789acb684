"""DOVER against its authors' code (a reduced model with the same random weights), and as a stage on a real clip."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from filters.video import dover_input
from filters.video.dover import FRAGMENTS, SHRUNK, STAGE
from filters.video.dover_model import DoverModel, in_unit, load
from manifests.errors import BackendAbsent, ConfigError
from media.render import render_views
from media.views import VideoView
from media.whole import whole_clip

REFERENCE = json.loads(Path(__file__).with_name("dover_reference.json").read_text())


def drawn(key: str, shape: list[int]) -> np.ndarray:
    """The recipe of the weights: by the name, so that no order matters."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    values = np.random.Generator(np.random.PCG64(seed)).integers(-32768, 32768, size=shape, dtype=np.int32)
    unit = values.astype(np.float32) / 32768
    if key.endswith("gamma") or ("norm" in key and key.endswith("weight")):
        return np.asarray(1 + 0.3 * unit)
    return np.asarray((0.8 if "table" in key else 0.3) * unit)


def apart(window: tuple[int, int, int] = (8, 7, 7)) -> np.ndarray:
    """Of each two tokens of a window, the row of their difference in the table of biases (Liu 2021)."""
    places = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij")).reshape(3, -1)
    ahead = places[:, :, None] - places[:, None] + np.array(window)[:, None, None] - 1
    return np.ravel_multi_index(tuple(ahead), tuple(2 * side - 1 for side in window))


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """A reduced state dict."""
    return {
        key: torch.from_numpy(drawn(key, shape) if kind == "float32" else apart())
        for key, (shape, kind) in REFERENCE["small"].items()
    }


def test_scores_are_the_authors(state):
    given = np.random.Generator(np.random.PCG64(7)).integers(-32768, 32768, size=(2, 3, 32, 224, 224), dtype=np.int32)
    pixels = torch.from_numpy(given.astype(np.float32) / 16384)
    model = load(state)
    with torch.inference_mode():
        assert model.technical(pixels).tolist() == pytest.approx(REFERENCE["technical"], abs=2e-5)
        assert model.aesthetic(pixels).tolist() == pytest.approx(REFERENCE["aesthetic"], abs=2e-5)


def test_the_full_size_has_the_authors_names_and_shapes():
    with torch.device("meta"):
        model = DoverModel({key: torch.empty(shape) for key, shape in REFERENCE["full"].items()})
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == REFERENCE["full"]


def test_an_average_video_is_in_the_middle():
    assert in_unit(0.1107, -0.08285) == pytest.approx((0.5, 0.5, 0.5))
    technical, aesthetic, overall = in_unit(0.1107 + 0.07355, -0.08285 - 0.03774)
    assert technical == pytest.approx(1 / (1 + math.exp(-1))) and aesthetic == pytest.approx(1 / (1 + math.exp(1)))
    assert overall == pytest.approx(1 / (1 + math.exp(0.3896 - 0.6104)))


@pytest.mark.parametrize("total", [20, 64, 125, 300])
def test_frames_lie_in_the_clip(total):
    runs, spread = dover_input.runs(total), dover_input.spread(total)
    assert runs.shape == (3, 32) and spread.shape == (32,)
    for picked in (runs, spread):
        assert picked.min() >= 0 and picked.max() < total
    if total >= 3 * 64:
        assert (np.diff(runs, axis=1) == 2).all() and (np.diff(spread) > 0).all()


def test_fragments_are_pieces_of_the_frame(media_dir):
    """The middle 32 x 32 px of 7 x 7 cells, not scaled."""
    full = VideoView("full", pixels="rgb24", max_frames=4)
    some = VideoView("some", pixels="rgb24", max_frames=4, fragments=(7, 32))
    clip = whole_clip(media_dir / "grid" / "lwbsza.mpg")
    with render_views(clip, [full, some]) as views:
        frames, found = views[full], views[some]
        height, width = frames.shape[1] // 7, frames.shape[2] // 7
        for row, column in ((0, 0), (3, 5), (6, 6)):
            top, left = row * height + (height - 33) // 2, column * width + (width - 33) // 2
            piece = frames[:, top : top + 32, left : left + 32]
            assert (found[:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32] == piece).all()


@pytest.fixture
def weights(state, tmp_path) -> Path:
    torch.save({"state_dict": state}, tmp_path / "DOVER.pth")
    return tmp_path / "DOVER.pth"


def test_a_clip_has_one_score(weights, media_dir):
    stage = STAGE(weights=str(weights))
    clip = whole_clip(media_dir / "grid" / "lwbsza.mpg")
    with render_views(clip, [FRAGMENTS, SHRUNK]) as views:
        assert views[SHRUNK].shape[1:] == views[FRAGMENTS].shape[1:] == (224, 224, 3)
        found = stage(clip, views, {})
        assert found == stage(clip, views, {})
    assert set(found) == set(stage.COLUMNS) and all(0 <= found[n] <= 1 for n in ("technical", "aesthetic", "overall"))
    assert in_unit(found["technical_raw"], found["aesthetic_raw"])[2] == pytest.approx(found["overall"])


def test_another_file_is_refused(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "DOVER.pth")
    with pytest.raises(ConfigError, match="DOVER"):
        STAGE(weights=str(tmp_path / "DOVER.pth")).digest()


def test_absent_weights_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    with pytest.raises(BackendAbsent, match="non-commercial"):
        STAGE().digest()
