"""The stage around ImageBind: its cosine is that of the authors' steps, one by one."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from filters import checkpoint
from filters.semantic import imagebind
from filters.semantic import imagebind_input as prepare
from filters.semantic.imagebind_model import load
from media.clip import Clip
from media.views import AUDIO_16K, Views


@pytest.fixture
def weights(golden_dir: Path, tmp_path: Path) -> Path:
    """The reduced checkpoint, as a bare state dict in torch's format."""
    path = tmp_path / "imagebind_huge.pth"
    torch.save(load_file(golden_dir / "imagebind_small.safetensors"), path)
    return path


def _clip(frames: int) -> Clip:
    return Clip(bytes(16), bytes(16), "x", 0, frames, Fraction(25), 320, 180, 16_000, 1)


def _media(frames: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(2)
    pictures = drawn.integers(0, 256, (frames, 180, 320, 3), dtype=np.uint8)
    return pictures, drawn.standard_normal(frames * 640).astype(np.float32) * 0.1


def test_the_cosine_step_by_step(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filters.semantic import imagebind_model

    heads = imagebind_model.Heads(vision=4, text=3, audio=4, depth=2, thermal=2, imu=2)
    model = load(checkpoint.read(weights), heads)
    monkeypatch.setattr(imagebind, "_model", lambda *_: model)
    pictures, sound = _media(325)
    pairs = [(0, 49), (69, 118), (138, 187), (207, 256), (275, 324)]
    with torch.inference_mode():
        heard = model("audio", prepare.mel_clips(sound)[None])[0]
        crops = [prepare.crops(pictures[[first, last]]) for first, last in pairs]
        seen = model("vision", torch.cat(crops)[None])[0]
    wanted = float(torch.nn.functional.cosine_similarity(heard, seen, dim=0))
    kept = pictures[sorted({frame for pair in pairs for frame in pair})]
    views = Views({AUDIO_16K: sound, imagebind.PAIRS: kept})
    found = imagebind.STAGE(weights=str(weights))(_clip(325), views, {})
    assert found["cosine"] == pytest.approx(wanted, abs=1e-6) and -1 <= wanted <= 1
    short = Views({AUDIO_16K: sound[:6400], imagebind.PAIRS: pictures[[0, 9]]})
    assert -1 <= imagebind.STAGE(weights=str(weights))(_clip(10), short, {})["cosine"] <= 1


def test_safetensors_and_pth_are_read_alike(weights: Path, tmp_path: Path) -> None:
    state = checkpoint.read(weights)
    save_file(state, tmp_path / "same.safetensors")
    again = checkpoint.read(tmp_path / "same.safetensors")
    assert set(again) == set(state) and all(torch.equal(again[name], state[name]) for name in state)
