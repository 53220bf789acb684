"""audiobox-aesthetics: a small checkpoint in the official format rates as Meta's own package does.

`aesthetics_reference.json` holds the names and shapes that the package audiobox-aesthetics 0.0.4 gives a reduced model
(two layers, 16 wide), and its ratings with the weights of `weights` below. At full size, random weights: within 1e-6.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from filters.audio.aesthetics import STAGE, WINDOW, windows
from manifests.errors import ConfigError
from media.views import AUDIO_16K, Views

REFERENCE = json.loads((Path(__file__).parent / "aesthetics_reference.json").read_text())


def weights() -> dict[str, torch.Tensor]:
    rng, state = np.random.default_rng(7), {}
    for name, shape in REFERENCE["shapes"].items():
        drawn = rng.standard_normal(shape)
        drawn = drawn / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else drawn
        state[name] = torch.from_numpy((2 * drawn if len(shape) > 1 else 0.5 * drawn + 0.5).astype(np.float32))
    return state


def write(folder: Path, **changed: object) -> str:
    settings = {"model_cfg": REFERENCE["model_cfg"], "target_transform": REFERENCE["target_transform"]}
    torch.save({"state_dict": weights(), **settings} | changed, folder / "checkpoint.pt")
    return str(folder / "checkpoint.pt")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("aesthetics"))


def sound(samples: int) -> np.ndarray:
    """Noise, then a rising tone: windows must differ for a test to tell them apart."""
    made = 0.1 * np.random.default_rng(samples).standard_normal(samples)
    made[samples // 2 :] = 0.3 * np.sin(0.02 * np.arange(samples - samples // 2) ** 1.1)
    return made.astype(np.float32)


def rated(stage: STAGE, samples: np.ndarray) -> dict[str, float]:
    return stage(None, Views({AUDIO_16K: samples}), {})


@pytest.mark.parametrize("samples", REFERENCE["ratings"])
def test_rates_as_the_authors_do(checkpoint: str, samples: str) -> None:
    found = rated(STAGE(weights=checkpoint, on="cpu"), sound(int(samples)))
    assert list(found) == list(STAGE.COLUMNS) == ["pq", "pc", "ce", "cu"]
    assert found == pytest.approx(REFERENCE["ratings"][samples], abs=5e-6)


def test_windows_together_or_one_by_one(checkpoint: str) -> None:
    long = sound(3 * WINDOW + 5_000)
    together, single = (rated(STAGE(weights=checkpoint, on="cpu", at_once=count), long) for count in (4, 1))
    assert together == pytest.approx(single, abs=1e-5)


def test_a_rating_is_the_mean_of_its_windows_by_length(checkpoint: str) -> None:
    stage = STAGE(weights=checkpoint, on="cpu")
    long = sound(WINDOW + WINDOW // 4)
    first, last = rated(stage, long[:WINDOW]), rated(stage, long[WINDOW:])
    assert rated(stage, long)["ce"] == pytest.approx((first["ce"] + last["ce"] / 4) / 1.25, abs=1e-5)
    assert abs(first["ce"] - last["ce"]) > 1e-3


def test_windows_are_padded_and_masked() -> None:
    samples, heard = windows(np.ones(WINDOW + 3, np.float32))
    assert samples.shape == heard.shape == (2, WINDOW)
    assert heard.sum(1).tolist() == [WINDOW, 3] and samples[~heard].max() == 0


def test_half_precision_is_near(checkpoint: str) -> None:
    whole, half = (
        rated(STAGE(weights=checkpoint, on="cpu", precision=p), sound(40_000)) for p in ("float32", "bfloat16")
    )
    assert whole != half and whole == pytest.approx(half, abs=0.05)


def test_no_sound_no_rating(checkpoint: str) -> None:
    assert rated(STAGE(weights=checkpoint, on="cpu"), np.zeros(0, np.float32)) == {}


def test_another_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no model_cfg"):
        STAGE(weights=write(tmp_path, model_cfg=None)).digest()
    state = weights()
    del state["model.wavlm_model.encoder.layers.1.fc1.weight"]
    with pytest.raises(ConfigError, match="feed_forward"):
        STAGE(weights=write(tmp_path, state_dict=state)).digest()
