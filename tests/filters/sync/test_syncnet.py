"""SyncNet: the authors' names and shapes, their cepstra and crops, the sign, and the stage around them.

Our numbers were held to the authors' own code (joonson/syncnet_python 6efbb1c, random weights, a real clip): cepstra to
1.3e-12, crops equal, lips to 9.2e-7 and sound to 1.9e-7 of places of about 1, mean distances to 3.8e-6.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from filters import checkpoint
from filters.sync import syncnet_scorer
from filters.sync.mfcc import mfcc, sixteen_bits
from filters.sync.syncnet import STAGE
from filters.sync.syncnet_crop import crops
from filters.sync.syncnet_model import SyncNetModel, load
from filters.sync.syncnet_scorer import answer, mean_distances
from filters.video.faces import STAGE as FACES
from manifests.errors import BackendAbsent, ConfigError
from media.render import render_views
from media.views import AUDIO_16K, FACES_25, Views
from media.whole import whole_clip

KEYS = {k: tuple(v) for k, v in json.loads((Path(__file__).parent / "syncnet_keys.json").read_text()).items()}
"""Names and shapes of the authors' model without the counters of its batch norms."""
FIRST = [
    19.791776,
    23.882817,
    -9.69963,
    -33.517564,
    -32.048216,
    -13.467251,
    1.943539,
    0.764634,
    -8.954717,
    -14.137976,
    -8.637649,
    0.016178,
    4.364452,
]
LAST = [
    21.757444,
    -5.786883,
    -46.616639,
    4.824518,
    40.256162,
    -7.81497,
    -30.952787,
    6.217768,
    16.791526,
    -6.664285,
    -7.816836,
    0.953526,
    -2.323058,
]
"""What python_speech_features 0.6 makes of a chirp: its first and its last window."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random state dict by the authors' names, in torch's format of before 1.6, written on a GPU."""
    drawn = torch.Generator().manual_seed(0)
    state = {key: torch.randn(shape, generator=drawn) * 0.05 for key, shape in KEYS.items()}
    state |= {key: 1 + value.abs() for key, value in state.items() if key.endswith(("running_var", "1.weight"))}
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"ctorch\nFloatStorage\n", b"ctorch.cuda\nFloatStorage\n"))
    return path


def test_names_shapes_and_parameters_are_the_authors() -> None:
    with torch.device("meta"):
        model = SyncNetModel()
    own = {k: tuple(v.shape) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert own == KEYS
    assert sum(p.numel() for p in model.parameters()) == 13_631_616


def test_cepstra_are_those_of_python_speech_features() -> None:
    k = np.arange(1000)
    chirp = np.rint(8000 * np.sin(2 * np.pi * k * (200 + k) / 16_000)).astype(np.int16)
    found = mfcc(chirp)
    assert found.shape == (5, 13)
    assert found[0] == pytest.approx(FIRST, abs=1e-5)
    assert found[-1] == pytest.approx(LAST, abs=1e-5)
    assert mfcc(np.zeros(0)).shape == (0, 13) and np.isfinite(mfcc(np.zeros(3000, np.int16))).all()
    assert sixteen_bits(np.array([-1.0, 0.25, 1.0])).tolist() == [-32768, 8192, 32767]


def test_a_crop_reaches_where_theirs_does() -> None:
    frames = np.zeros((20, 200, 300, 3), np.uint8)
    frames[:, :, :, 0] = np.arange(300, dtype=np.uint16).clip(0, 255).astype(np.uint8)
    frames[:, :, :, 1] = np.arange(200, dtype=np.uint8)[:, None]
    boxes = np.tile([60.0, 40.0, 120.0, 120.0], (20, 1))  # middle (90, 80), half the longer side 40
    middle = crops(frames, boxes)[10]
    assert middle.shape == (224, 224, 3)
    assert (middle[0, 0, 0], middle[0, -1, 0]) == pytest.approx((90 - 56, 90 + 55), abs=1)
    assert (middle[0, 0, 1], middle[-1, 0, 1]) == pytest.approx((40, 80 + 71), abs=1)
    beyond = crops(frames, boxes - [60, 40, 60, 40])[10]
    assert (beyond[:, 0] == 110).all() and (beyond[0] != 110).any(), "grey where the picture ends"


@pytest.mark.parametrize("late", [-7, 0, 3])
def test_late_sound_is_positive(late: int) -> None:
    places = torch.randn(80, 1024, generator=torch.Generator().manual_seed(1))
    lips, sound = places[20:60], places[20 - late : 60 - late]  # what is seen at frame i is heard at i + late
    found = answer(mean_distances(lips, sound))
    assert found.offset_frames == late
    assert found.lse_d < 20 and found.lse_c > 20  # unlike places lie sqrt(2 * 1024) = 45 apart


def test_windows_beyond_the_ends_are_at_the_origin() -> None:
    lips = torch.full((3, 1024), 3.0)
    means = mean_distances(lips, torch.zeros(3, 1024))
    assert means == pytest.approx(np.full(31, 96.0), rel=1e-4)
    # of three windows none meets sound 15 frames later, one meets the last of them 2 frames later
    means = mean_distances(lips, lips)
    assert means[15] == pytest.approx(0, abs=1e-3) and means[17] == pytest.approx(64, rel=1e-4)
    assert means[0] == means[-1] == pytest.approx(96, rel=1e-4)


class Plain:
    """Brightness of five frames, loudness of twenty cepstra: a SyncNet that sees and hears only that."""

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def lips(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((0, 2, 3)).unfold(0, 5, 1).mean(1, keepdim=True) / 255

    def sound(self, cepstra: torch.Tensor) -> torch.Tensor:
        return (cepstra[:, 0] > 12).float().mean(1, keepdim=True)


@pytest.mark.parametrize("late_s", [-0.2, 0.0, 0.2, 0.4])
def test_sound_that_comes_late_is_positive_through_the_whole_stage(late_s: float) -> None:
    rng = np.random.default_rng(3)
    on = np.repeat(rng.integers(0, 2, 40), 5)[:150].astype(bool)
    frames = np.where(on[:, None, None, None], 250, 5).astype(np.uint8) * np.ones((1, 90, 160, 3), np.uint8)
    loud = np.repeat(on, 640) * rng.normal(0, 0.1, 150 * 640)
    sound = np.roll(loud, round(late_s * 16_000)).astype(np.float32)
    stage = STAGE()
    stage.scorer._model = Plain()
    row = stage(None, Views({FACES_25: frames, AUDIO_16K: sound}), facts(track(0, 150)))  # type: ignore[arg-type]
    assert row["judged"] == "measured" and row["av_offset_s"] == pytest.approx(late_s)
    assert row["offset_frames"] == round(late_s * 25) and row["lse_c"] > 0


def track(first: int, last: int, lips: bool = True) -> dict[str, Any]:
    count = last - first
    places = [0.4, 0.3, 0.6, 0.7] * (-(-count // 5) + 1)
    span = {"start_s": first / 25, "end_s": last / 25}
    return {"track": "F1", **span, "places": places, "lip_opening": [0.1] * count if lips else None}


def facts(*tracks: dict[str, Any]) -> dict[str, Any]:
    return {"video.faces": {"tracks": list(tracks)}}


def test_a_real_clip_with_random_weights(media_dir: Path, weights: Path) -> None:
    with render_views(whole_clip(media_dir / "grid/lwbsza.mpg"), [FACES_25, AUDIO_16K]) as rendered:
        views = Views(
            {FACES_25: np.array(rendered[FACES_25][:30]), AUDIO_16K: np.array(rendered[AUDIO_16K][: 30 * 640])}
        )
    known = {"video.faces": FACES()(None, views, {})}  # type: ignore[arg-type]
    stage = STAGE(weights=str(weights), least_frames=25, on="cpu")
    assert len(stage.digest()) == 64
    row = stage(None, views, known)  # type: ignore[arg-type]
    assert set(row) == set(STAGE.COLUMNS) and row["judged"] == "measured"
    assert row["lse_d"] > 0 and row["lse_c"] >= 0 and abs(row["offset_frames"]) <= 15
    assert row["av_offset_s"] == row["offset_frames"] / 25
    assert row["tracks"] == [{"track": "F1", **{k: row[k] for k in ("offset_frames", "lse_c", "lse_d")}}]
    apart = STAGE(weights=str(weights), least_frames=25, on="cpu", at_once=7)(None, views, known)  # type: ignore[arg-type]
    assert apart["lse_d"] == pytest.approx(row["lse_d"], abs=1e-4), "however many windows run together"


def test_the_face_that_stands_out_most_is_the_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = STAGE()
    answers = iter([syncnet_scorer.Answer(9, 1.0, 12.0), syncnet_scorer.Answer(-2, 6.0, 8.0)])
    monkeypatch.setattr(stage.scorer, "track", lambda *_: next(answers))
    views = Views({FACES_25: np.zeros((150, 90, 160, 3), np.uint8), AUDIO_16K: np.zeros(150 * 640, np.float32)})
    row = stage(None, views, facts(track(0, 150), track(0, 150) | {"track": "F2"}))  # type: ignore[arg-type]
    assert (row["offset_frames"], row["lse_c"], row["lse_d"], row["av_offset_s"]) == (-2, 6.0, 8.0, -0.08)
    assert [one["track"] for one in row["tracks"]] == ["F1", "F2"]


def test_no_face_and_too_short() -> None:
    views = SimpleNamespace()
    assert STAGE()(None, views, facts()) == {"judged": "no face"}  # type: ignore[arg-type]
    assert STAGE()(None, views, facts(track(0, 150, lips=False))) == {"judged": "no face"}  # type: ignore[arg-type]
    assert STAGE()(None, views, facts(track(5, 54))) == {"judged": "too short"}  # type: ignore[arg-type]


def test_absent_and_wrong_weights_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    with pytest.raises(BackendAbsent, match=r"syncnet_v2\.model .*no licence of their own"):
        STAGE().digest()
    state = checkpoint.read(weights)
    del state["netfclip.3.bias"]
    torch.save(state, tmp_path / "other.model")
    with pytest.raises(ConfigError, match=r"netfclip\.3\.bias"):
        STAGE(weights=str(tmp_path / "other.model")).digest()


def test_counters_of_batch_norms_may_be_there_or_not(weights: Path) -> None:
    state = checkpoint.read(weights)
    with_counters = state | {"netcnnaud.1.num_batches_tracked": torch.tensor(7)}
    for given in (state, with_counters):
        assert not load(given).training
