"""CLAP and CLIP in the real formats, tiny and random: what comes out is the formula, step by step."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from filters.audio.yamnet import labels
from filters.semantic.clap_clip import AUDIO_48K, STAGE
from manifests.errors import BackendAbsent
from media.views import FRAMES, Views

WORDS = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    *sorted({w for label in labels() for w in label.lower().replace(",", "").split()}),
]


def tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=32, **special).save_pretrained(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    from transformers import (
        ClapAudioConfig,
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapTextConfig,
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPTextConfig,
        CLIPVisionConfig,
    )

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("clap_clip")
    text = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 16, "max_position_embeddings": 40}
    audio = ClapAudioConfig(
        spec_size=256, num_mel_bins=64, depths=[1, 1], num_attention_heads=[2, 2], patch_embeds_hidden_size=8,
        hidden_size=16, window_size=4, projection_dim=12, num_hidden_layers=2, enable_fusion=False,
    )  # fmt: skip
    heard = ClapModel(
        ClapConfig(text_config=ClapTextConfig(**text).to_dict(), audio_config=audio.to_dict(), projection_dim=12)
    )
    heard.save_pretrained(root / "clap")
    ClapFeatureExtractor(feature_size=64, truncation="rand_trunc", padding="repeatpad").save_pretrained(root / "clap")
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision |= {"image_size": 32, "patch_size": 16}
    seen = CLIPModel(
        CLIPConfig(
            text_config=CLIPTextConfig(**text, eos_token_id=2).to_dict(),
            vision_config=CLIPVisionConfig(**vision).to_dict(),
            projection_dim=12,
        )
    )
    seen.save_pretrained(root / "clip")
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(root / "clip")
    for name in ("clap", "clip"):
        tokenizer(root / name)
    return {"clap": root / "clap", "clip": root / "clip"}


def stage(folders: dict[str, Path]) -> STAGE:
    return STAGE(**{name: str(folder) for name, folder in folders.items()})


def views(seconds: float, seed: int) -> Views:
    rng = np.random.default_rng(seed)
    sound = (0.1 * rng.standard_normal(round(seconds * 48_000))).astype(np.float32)
    return Views({AUDIO_48K: sound, FRAMES: rng.integers(0, 255, (3, 40, 60, 3)).astype(np.uint8)})


def test_agreement_is_the_overlap_of_two_distributions(folders) -> None:
    made = stage(folders)
    given = views(12.5, 0)
    found = made(None, given, {})["agreement"]
    heard, seen = made._models
    shares = heard.shares(given[AUDIO_48K]), seen.shares(given[FRAMES])
    assert all(share.shape == (521,) and share.sum() == pytest.approx(1) for share in shares)
    assert found == pytest.approx(float(np.sqrt(shares[0] * shares[1]).sum())) and 0 < found <= 1
    assert stage(folders)(None, given, {})["agreement"] == found, "long sound is not cut by chance"


def test_each_picture_and_each_window_counts_the_same(folders) -> None:
    made = stage(folders)
    given = views(4, 1)
    made(None, given, {})
    _, seen = made._models
    singles = [seen.shares(given[FRAMES][i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(seen.shares(given[FRAMES]), np.mean(singles, axis=0), atol=1e-6)


def test_too_short_a_sound_is_not_judged(folders) -> None:
    assert stage(folders)(None, views(0.5, 2), {}) == {}


def test_absent_folders_are_named(folders, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    with pytest.raises(BackendAbsent, match=r"semantic.clap_clip has no clap: .*clap-htsat-unfused \(Apache-2.0\)"):
        STAGE().digest()
    (tmp_path / "clap").mkdir()
    (tmp_path / "clap" / "config.json").write_text(json.dumps({}))
    with pytest.raises(BackendAbsent, match="neither model.safetensors nor"):
        STAGE().digest()
    assert len(stage(folders).digest()) == 2 * 64 + 1
