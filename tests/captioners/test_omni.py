"""Qwen-Omni through transformers: a tiny random checkpoint of the published layout, heard, seen and batched."""

from pathlib import Path

import numpy as np
import pytest

from captioners import omni
from captioners.omni import Omni, Prompt
from manifests.errors import BackendAbsent, ConfigError
from tests.captioners import tiny_omni

RNG = np.random.default_rng(0)
SOUND = 0.1 * RNG.standard_normal(24_000).astype(np.float32)
TONE = 0.1 * np.sin(np.arange(24_000) / 6, dtype=np.float32)
FILM = RNG.integers(0, 256, (4, 56, 56, 3), np.uint8)
PROMPTS = [
    Prompt("You listen.", "What is said?", audio=SOUND),
    Prompt("You look.", "What happens?", frames=FILM, fps=2.0),
    Prompt("You watch.", "What is it about?", audio=SOUND[:8000], frames=FILM, fps=2.0),
    Prompt("You talk.", "Hello"),
]


@pytest.fixture(scope="module", params=[2, 3], ids=["Qwen2.5-Omni", "Qwen3-Omni"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_omni.write(tmp_path_factory.mktemp("omni"), request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> Omni:
    return Omni(str(folder))


def test_every_weight_of_the_folder_is_the_models(model: Omni, folder: Path) -> None:
    """Experts lie one by one in the file and together in the model, so the sums of squares are compared."""
    from safetensors.torch import load_file

    file = load_file(folder / "model.safetensors")
    assert file.pop("talker.codec_head.weight").shape == (2, 2)
    published = ("thinker.audio_tower.", "thinker.lm_head.", "thinker.model.", "thinker.visual.")
    assert {next(p for p in published if name.startswith(p)) for name in file} == set(published)
    state = model.model.state_dict()
    sums = [sum(float(value.double().square().sum()) for value in each.values()) for each in (file, state)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-9)
    assert sum(value.numel() for value in file.values()) == sum(value.numel() for value in state.values())


def test_sound_and_pictures_are_read_and_change_the_answer(model: Omni) -> None:
    loud, _, both, talk = model.generate(PROMPTS, 6, seed=0)
    assert loud.prompt_tokens - talk.prompt_tokens > 20  # 1.5 s of sound: 150 frames, 37 or 20 tokens
    assert both.prompt_tokens > 12 + len("You watch.")
    assert all(0 < answer.tokens <= 6 for answer in (loud, both, talk))
    logits = [_first(model, Prompt("", "", audio=sound)) for sound in (SOUND, TONE)]
    assert not np.allclose(*logits, atol=1e-6)
    still = [_first(model, Prompt("", "", frames=film)) for film in (FILM, 255 - FILM)]
    assert not np.allclose(*still, atol=1e-6)


def test_a_batch_is_its_prompts_one_by_one(model: Omni) -> None:
    assert model.generate(PROMPTS, 6, seed=0) == [model.generate([p], 6, seed=0)[0] for p in PROMPTS]


def test_drawn_answers_depend_on_the_seed_alone(model: Omni) -> None:
    drawn = [model.generate(PROMPTS[:1], 8, seed, temperature=1.0)[0].text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_missing_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BackendAbsent, match=r"caption\.omni: .* holds no config\.json"):
        omni.digest(str(tmp_path), "caption.omni")
    with pytest.raises(ConfigError, match="int8"):
        omni.load(str(folder), dtype="int8")
    assert len(omni.digest(str(folder), "caption.omni")) == 64


def _first(model: Omni, prompt: Prompt) -> np.ndarray:
    """Logits of the first written token."""
    import torch

    with torch.inference_mode():
        return model.model(**model._inputs([prompt])).logits[0, -1].numpy()
