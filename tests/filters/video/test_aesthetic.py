"""Both aesthetic predictors in their authors' formats, tiny and random: the score is theirs, layer by layer."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from filters.video.aesthetic import STAGE
from manifests.errors import BackendAbsent, ConfigError
from media.views import FRAMES, Views

VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
VISION |= {"image_size": 32, "patch_size": 16}
TEXT = {"vocab_size": 10, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
FILM = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3)).astype(np.uint8)


def clip(folder: Path) -> nn.Module:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    text, vision = CLIPTextConfig(**TEXT, eos_token_id=2).to_dict(), CLIPVisionConfig(**VISION).to_dict()
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
    model.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return model.eval()


def siglip(folder: Path) -> nn.Module:
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipTextConfig, SiglipVisionConfig

    text, vision = SiglipTextConfig(**TEXT).to_dict(), SiglipVisionConfig(**VISION).to_dict()
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    model.save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return model.eval()


def laion_head(size: int) -> nn.Sequential:
    """The layout of improved-aesthetic-predictor's file: dropouts after the first three layers only."""
    widths, drops = [size, 1024, 128, 64, 16, 1], (True, True, True, False, False)
    layers: list[nn.Module] = []
    for a, b, drop in zip(widths, widths[1:], drops):
        layers += [nn.Linear(a, b), *([nn.Dropout(0.2)] if drop else [])]
    return nn.Sequential(*layers).eval()


def v25_head(size: int) -> nn.Sequential:
    """That of aesthetic-predictor-v2.5: a dropout after each layer but the last."""
    widths = [size, 1024, 128, 64, 16, 1]
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.Dropout(0.5))]
    return nn.Sequential(*layers[:-1]).eval()


CASES = {
    "laion_v2": (clip, 12, laion_head, "layers", ["0", "2", "4", "6", "7"]),
    "v2_5": (siglip, 16, v25_head, "scoring_head", ["0", "2", "4", "6", "8"]),
}


@pytest.fixture(params=list(CASES))
def made(request, tmp_path):
    """Predictor, its head's file, its encoder's folder, and the authors' way from pixels to scores."""
    torch.manual_seed(3)
    make, size, head_of, stem, numbers = CASES[request.param]
    model, head = make(tmp_path / "encoder"), head_of(size)
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.bias)  # so that a bias that is left out shows
    state = {f"{stem}.{name}": value for name, value in head.state_dict().items()}
    assert [name.split(".")[1] for name in state if name.endswith("weight")] == numbers
    torch.save(state, tmp_path / "head.pth")

    def scores(frames):
        from transformers import AutoImageProcessor

        front = AutoImageProcessor.from_pretrained(tmp_path / "encoder")
        with torch.no_grad():
            seen = model.get_image_features(
                pixel_values=front(images=list(frames), return_tensors="pt")["pixel_values"]
            )
            seen = getattr(seen, "pooler_output", seen)
            return head(seen / seen.norm(dim=-1, keepdim=True))[:, 0].numpy()

    return request.param, tmp_path / "head.pth", tmp_path / "encoder", scores


def test_the_score_is_the_authors(made):
    predictor, weights, encoder, scores = made
    stage = STAGE(predictor, str(weights), str(encoder))
    assert len(stage.digest()) > 64
    found, wanted = stage(None, Views({FRAMES: FILM}), {}), scores(FILM)
    assert np.ptp(wanted) > 1e-3
    assert found["aesthetic"] == pytest.approx(wanted.mean(), abs=1e-5)
    assert found["aesthetic_least"] == pytest.approx(wanted.min(), abs=1e-5)
    assert stage(None, Views({FRAMES: FILM[:0]}), {}) == {}


def test_another_file_is_no_head(made, tmp_path):
    predictor, _, encoder, _ = made
    torch.save({"layers.0.weight": torch.zeros(4, 12)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="no head"):
        STAGE(predictor, str(tmp_path / "other.pth"), str(encoder)).digest()


@pytest.mark.parametrize(("predictor", "licence"), [("laion_v2", "Apache-2.0"), ("v2_5", "AGPL-3.0")])
def test_what_is_absent_is_said(predictor, licence, tmp_path, monkeypatch):
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    stage = STAGE(predictor)
    with pytest.raises(BackendAbsent, match=licence):
        stage.digest()
    assert licence in stage.LICENCE
    with pytest.raises(ConfigError, match="laion_v2"):
        STAGE("v3")  # type: ignore[arg-type]


def test_an_absent_encoder_is_said(made, tmp_path):
    predictor, weights, _, _ = made
    with pytest.raises(BackendAbsent, match="video.aesthetic has no (clip|siglip)"):
        STAGE(predictor, str(weights), str(tmp_path / "nowhere")).digest()
