"""MUSIQ is absent without pyiqa or its file, and says so; where pyiqa is installed, it is what pyiqa itself answers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from filters.video.musiq import STAGE
from manifests.errors import BackendAbsent, ConfigError
from media.views import FRAMES, Views

with_pyiqa = pytest.mark.skipif(importlib.util.find_spec("pyiqa") is None, reason="pyiqa is not installed")


def test_without_the_package_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyiqa" else found(name))
    with pytest.raises(BackendAbsent, match=r"video.musiq needs pyiqa \(PolyForm Noncommercial 1.0.0\)") as caught:
        STAGE().digest()
    assert caught.value.code == "backend:package"


def test_without_the_file_it_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    with pytest.raises(
        BackendAbsent, match="video.musiq has no weights: put .*musiq_koniq_ckpt-e95806b9.pth"
    ) as caught:
        STAGE().digest()
    assert caught.value.code == "backend:weights" and str(tmp_path) in caught.value.message


@with_pyiqa
def test_it_is_what_pyiqa_answers(tmp_path: Path) -> None:
    from pyiqa.archs.musiq_arch import MUSIQ
    from pyiqa.models.inference_model import InferenceModel

    torch.manual_seed(0)
    path = tmp_path / "musiq.pth"
    torch.save(MUSIQ(pretrained=False).state_dict(), path)
    frames = np.random.default_rng(0).integers(0, 255, (2, 100, 150, 3)).astype(np.uint8)
    stage = STAGE(weights=str(path))
    assert len(stage.digest()) == 64
    cpu = torch.device("cpu")
    asked = InferenceModel("musiq", pretrained=False, pretrained_model_path=str(path), device=cpu)
    wanted = [float(asked(torch.from_numpy(f.astype(np.float32) / 255).permute(2, 0, 1)[None])) for f in frames]
    found = stage(None, Views({FRAMES: frames}), {})
    assert found == pytest.approx({"score": np.mean(wanted), "score_min": min(wanted)}, abs=1e-6)


@with_pyiqa
def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"head.weight": torch.zeros(10, 384)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="does not fit MUSIQ") as caught:
        STAGE(weights=str(tmp_path / "other.pth")).digest()
    assert caught.value.code == "model:state"
