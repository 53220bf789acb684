"""Qwen-Omni through transformers: a tiny random checkpoint of the published layout, heard, seen and batched."""

from pathlib import Path

import numpy as np
import pytest

from captioners import omni
from captioners.omni import Omni, Prompt
from manifests.errors import BackendAbsent, ConfigError

RNG = np.random.default_rng(0)
SOUND = 0.1 * RNG.standard_normal(24_000).astype(np.float32)
FILM = RNG.integers(0, 256, (4, 56, 56, 3), np.uint8)
PROMPTS = [
    Prompt("You listen.", "What is said?", audio=SOUND),
    Prompt("You look.", "What happens?", frames=FILM, fps=2.0),
    Prompt("You watch.", "What is it about?", audio=SOUND[:8000], frames=FILM, fps=2.0),
    Prompt("You talk.", "Hello"),
]


@pytest.fixture(scope="module")
def model(tiny_omni: Path) -> Omni:
    return omni.load(str(tiny_omni))


def test_every_weight_of_the_folder_is_the_models(model: Omni, tiny_omni: Path) -> None:
    from safetensors.torch import load_file

    from tests.captioners.tiny_omni import published

    file = load_file(tiny_omni / "model.safetensors")
    state = model.model.state_dict()
    assert {published(name) for name in state} == file.keys() - {"talker.codec_head.weight"}
    assert all((value == file[published(name)]).all() for name, value in state.items())


def test_sound_and_pictures_are_read_and_change_the_answer(model: Omni) -> None:
    loud, _, both, talk = model.generate(PROMPTS, 6, seed=0)
    assert loud.prompt_tokens - talk.prompt_tokens > 30  # 1.5 s of sound: 150 frames, a quarter of them tokens
    assert both.prompt_tokens > 12 + len("You watch.")
    assert all(0 < answer.tokens <= 6 for answer in (loud, both, talk))
    logits = [_first(model, Prompt("", "", audio=SOUND * gain)) for gain in (1.0, 0.5)]
    assert not np.allclose(*logits, atol=1e-6)
    still = [_first(model, Prompt("", "", frames=film)) for film in (FILM, 255 - FILM)]
    assert not np.allclose(*still, atol=1e-6)


def test_a_batch_is_its_prompts_one_by_one(model: Omni) -> None:
    assert model.generate(PROMPTS, 6, seed=0) == [model.generate([p], 6, seed=0)[0] for p in PROMPTS]


def test_drawn_answers_depend_on_the_seed_alone(model: Omni) -> None:
    drawn = [model.generate(PROMPTS[:1], 8, seed, temperature=1.0)[0].text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_missing_is_named(tmp_path: Path, tiny_omni: Path) -> None:
    with pytest.raises(BackendAbsent, match=r"caption\.omni: .* holds no config\.json"):
        omni.digest(str(tmp_path), "caption.omni")
    with pytest.raises(ConfigError, match="int8"):
        omni.load(str(tiny_omni), dtype="int8")
    assert len(omni.digest(str(tiny_omni), "caption.omni")) == 64


def _first(model: Omni, prompt: Prompt) -> np.ndarray:
    """Logits of the first written token."""
    import torch

    with torch.inference_mode():
        return model.model(**model._inputs([prompt])).logits[0, -1].numpy()
