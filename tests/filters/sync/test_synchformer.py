"""The stage around Synchformer: checkpoints as published, windows, sign, what is too short."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from filters import checkpoint
from filters.sync import synchformer_windows as windows
from filters.sync.av_events import STAGE as AV_EVENTS
from filters.sync.synchformer import STAGE
from filters.sync.synchformer_input import SAMPLE_STEP, squares
from filters.sync.synchformer_scorer import RGB_25, RGB_25_448
from filters.sync.synchronisability import STAGE as SYNCHRONISABILITY
from manifests.errors import BackendAbsent, ConfigError
from media.render import render_views
from media.views import AUDIO_16K, LUMA_25, VideoView, Views
from media.whole import whole_clip


@pytest.fixture(scope="module")
def tiny(tiny_synchformer: Path) -> dict[str, torch.Tensor]:
    """A random state dict in the real format."""
    return checkpoint.read(tiny_synchformer, under="model")


class Settings:
    """Something of the authors' own that lies in their checkpoints beside the weights."""


def media(seconds: float) -> Views:
    drawn = np.random.default_rng(1)
    frames = drawn.integers(0, 256, (round(25 * seconds), 256, 300, 3), dtype=np.uint8)
    sound = drawn.standard_normal(round(16_000 * seconds)).astype(np.float32) * 0.1
    return Views({RGB_25: frames, RGB_25_448: frames, AUDIO_16K: sound})


def test_a_checkpoint_as_the_authors_write_it(tiny: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "24-01-04T16-39-21.pt"
    torch.save({"model": tiny, "args": Settings(), "epoch": 3, "optimizer": {"state": {0: torch.ones(2)}}}, path)
    stage = STAGE(weights=str(path))
    assert len(stage.digest()) == 64
    row = stage(None, media(8.0), {})  # type: ignore[arg-type]
    assert set(row) == set(STAGE.COLUMNS) and row["judged"] == "measured"
    assert row["window_starts_s"] == [0.0, 1.6, 3.2] and len(row["window_offsets_s"]) == 3  # 24 segments
    bare = tmp_path / "bare.pt"
    torch.save(tiny, bare)
    assert STAGE(weights=str(bare))(None, media(8.0), {}) == row  # type: ignore[arg-type]


def test_a_checkpoint_runs_nothing(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    path = tmp_path / "bad.pt"
    torch.save({"model": Bad()}, path)
    with pytest.raises(ConfigError) as caught:
        STAGE(weights=str(path))(None, media(5.0), {})  # type: ignore[arg-type]
    assert caught.value.code in {"model:checkpoint", "model:state"} and not (tmp_path / "owned").exists()
    path.write_bytes(pickle.dumps(Bad()))
    with pytest.raises(ConfigError):
        STAGE(weights=str(path))(None, media(5.0), {})  # type: ignore[arg-type]
    assert not (tmp_path / "owned").exists()


def test_clips_together_are_as_clips_alone(tiny: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    from safetensors.torch import save_file

    save_file(tiny, path)
    views = [media(seconds) for seconds in (5.0, 2.0, 4.8, 9.0)]
    alone = [STAGE(weights=str(path))(None, v, {}) for v in views]  # type: ignore[arg-type]
    together = STAGE(weights=str(path), at_once=7).many([(None, v, {}) for v in views])  # type: ignore[misc]
    assert [row["judged"] for row in together] == ["measured", "too short", "measured", "measured"]
    for one, other in zip(alone, together):
        for name, value in one.items():
            assert other[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-4)), name


def test_pictures_come_in_two_ways(tiny_synchformer: Path) -> None:
    """Each stage asks for the view of its way, and they give other probabilities: noise of 256 x 300 is not scaled by
    one, and is by the other."""
    given, rows = media(5.0), {}
    for name, view in (("synchformer", RGB_25), ("av_benchmark", RGB_25_448)):
        stage = STAGE(weights=str(tiny_synchformer), preprocess=name)
        assert list(stage.VIEWS) == [AUDIO_16K, view]
        rows[name] = stage(None, Views({key: given[key] for key in stage.VIEWS}), {})  # type: ignore[arg-type]
    assert rows["synchformer"]["entropy"] != rows["av_benchmark"]["entropy"]
    assert STAGE(weights=str(tiny_synchformer))(None, given, {}) == rows["av_benchmark"]  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'av_benchmark'"):
        STAGE(preprocess="avbench")


def test_large_films_are_shrunk_first_within_a_grey_level(media_dir: Path) -> None:
    """Of 720p: as scaled at once, but for 6 in 10,000 values, which are at most 6 grey levels off."""
    whole = VideoView("whole", pixels="rgb24", max_frames=8)
    clip = replace(whole_clip(media_dir / "video/big_buck_bunny_0_30.webm"), start_frame=200, frames=50)
    with render_views(clip, [whole, replace(RGB_25_448, fps=None, max_frames=8)]) as views:
        assert [frames.shape for frames in views.arrays.values()] == [(8, 720, 1280, 3), (8, 448, 796, 3)]
        once, twice = (squares(frames).astype(int) for frames in views.arrays.values())
    error = np.abs(once - twice)
    assert error.max() <= 6 and (error > 1).mean() < 1e-3, (error.max(), (error > 1).mean())


def test_absent_weights_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    with pytest.raises(BackendAbsent, match="24-01-04T16-39-21"):
        STAGE().digest()


def test_desync_is_av_benchmarks(golden_dir: Path) -> None:
    """Every stored tensor, within 1e-6. The native offset of a window is the one that `window_offsets` turns."""
    wanted = {name: value.numpy() for name, value in load_file(golden_dir / "desync.safetensors").items()}
    facts = json.loads((golden_dir / "desync.json").read_text())
    drawn = np.random.Generator(np.random.PCG64(4001)).integers(-32768, 32768, size=(37, 2, 21), dtype=np.int32)
    logits = drawn.astype(np.float32) / np.float32(16384)
    for *at, value in facts["logits"]["edits"]:
        logits[tuple(at)] = value
    own = np.array([windows.window_offsets(clip) for clip in logits])
    found = {
        "logits": logits,
        "class_grid_sec": windows.GRID_S,
        "argmax": np.rint((2 - own) / 0.2),
        "per_window_abs_offset_sec": np.abs(own),
    }
    assert set(found) == set(wanted)
    assert all(np.abs(found[name] - wanted[name]).max() < 1e-6 for name in wanted)
    assert windows.desync(logits) == pytest.approx(facts["DeSync"], abs=1e-6)
    assert windows.starts(24, 14, 10) == [0, 10] and windows.starts(13, 14, 5) == []


def test_late_sound_is_positive_here_and_in_the_embedded_scorer() -> None:
    """One clip, its sound 0.4 s late. By the authors' definition, class d: the audio was cut d seconds later in the
    source than the video. What was cut like that from this clip's source is its sound at d = -0.4."""
    drawn, late_s = np.random.default_rng(4), 0.4
    flashes = np.sort(drawn.choice(np.arange(10, 180), 14, replace=False))[::1]
    picture = np.full((200, 144, 256), 20, np.uint8)
    for flash in flashes:
        picture[flash : flash + 2] = 220
    source = np.zeros(16_000 * 12, np.float32)
    tone = 0.5 * np.sin(np.arange(800)).astype(np.float32)
    for flash in flashes:
        start = round((2 + flash / 25) * 16_000)
        source[start : start + 800] = tone
    audio = {d: source[round((2 + d) * 16_000) :][: 8 * 16_000] for d in windows.GRID_S}
    clip = source[round((2 - late_s) * 16_000) :][: 8 * 16_000]
    native = next(d for d, cut in audio.items() if np.array_equal(cut, clip))
    assert native == -late_s
    certain = np.zeros((1, 21))
    certain[0, list(windows.GRID_S).index(native)] = 1.0
    embedded = AV_EVENTS()(None, Views({AUDIO_16K: clip, LUMA_25: picture}), {})  # type: ignore[arg-type]
    assert windows.answer(certain).av_offset_s == pytest.approx(late_s)
    assert embedded["av_offset_s"] == pytest.approx(late_s, abs=0.02)
    assert windows.FRAME_STEP / windows.FPS == SAMPLE_STEP / 16_000


def test_what_the_distribution_says() -> None:
    flat = windows.answer(np.full((2, 21), 1 / 21))
    assert flat.entropy == pytest.approx(np.log(21)) and flat.expected_offset_s == pytest.approx(0, abs=1e-9)
    assert flat.p_in_sync == pytest.approx(3 / 21)
    assert SimpleNamespace(**vars(flat)).desync_s == 2.0


def test_whether_it_can_be_judged(tiny_synchformer: Path, tiny_synchronisability: Path) -> None:
    stage = SYNCHRONISABILITY(weights=str(tiny_synchronisability))
    row = stage(None, media(8.0), {})  # type: ignore[arg-type]
    assert row["window_starts_s"] == [0.0, 1.6, 3.2, 3.52] and 0 <= row["p_least"] <= row["p_synchronisable"] <= 1
    assert stage(None, media(4.4), {}) == {"judged": "too short"}  # type: ignore[arg-type]
    assert stage(None, media(4.5), {})["judged"] == "measured"  # type: ignore[arg-type]
    for wrong, weights in ((SYNCHRONISABILITY, tiny_synchformer), (STAGE, tiny_synchronisability)):
        with pytest.raises(ConfigError, match="head"):
            wrong(weights=str(weights)).digest()
