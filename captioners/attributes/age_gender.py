"""Age and gender out of speech: wav2vec 2.0, its mean over time, and two heads (Burkhardt et al. 2023).

Our own heads over transformers' Wav2Vec2Model, under the names of audeering/wav2vec2-large-robust-24-ft-age-gender and
its 6-layer sister (CC-BY-NC-SA 4.0), so that their files load as they are. The authors report a mean error of 7.1 to
10.8 years, and for gender an accuracy of at least 91.1%, by data set (arXiv 2306.16962).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor, Wav2Vec2Config, Wav2Vec2Model, Wav2Vec2PreTrainedModel

from manifests.errors import ConfigError

RATE = 16_000
GENDERS = ("female", "male", "child")
"""Order of the model's classes; the voice of a child is a class of its own."""
YEARS = 100.0
"""What 1.0 of the age head stands for."""
SPARE = {"wav2vec2.masked_spec_embed"}
"""Of training alone: a file may lack it."""


class Head(torch.nn.Module):
    """Two layers with tanh between: (batch, width) -> (batch, outputs)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.dense = torch.nn.Linear(width, width)
        self.out_proj = torch.nn.Linear(width, outputs)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Scores, not yet shares."""
        return self.out_proj(torch.tanh(self.dense(pooled)))


class AgeGender(Wav2Vec2PreTrainedModel):
    """(1, samples) at 16 kHz, normalised -> age / 100 years, (1,), and shares of GENDERS, (1, 3)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        self.wav2vec2 = Wav2Vec2Model(config)
        self.age = Head(config.hidden_size, 1)
        self.gender = Head(config.hidden_size, len(GENDERS))
        self.post_init()

    def forward(self, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One sound at a time: then none is padded."""
        pooled = self.wav2vec2(samples).last_hidden_state.mean(1)
        return self.age(pooled)[:, 0], self.gender(pooled).softmax(1)


@dataclass(frozen=True)
class Estimator:
    """A model with what prepares its sound, on its device."""

    model: AgeGender
    front: Any

    def estimate(self, speech: np.ndarray) -> tuple[float, np.ndarray]:
        """Years, not below 0, and the shares (3,) of GENDERS, of samples (n,) at 16 kHz; n of 400 at least."""
        like = next(self.model.parameters())
        samples = self.front(speech, sampling_rate=RATE, return_tensors="pt")["input_values"].to(like)
        age, shares = self.model(samples)
        return max(0.0, float(age) * YEARS), shares[0].float().cpu().numpy()


@lru_cache(maxsize=1)
def load(folder: Path, on: str) -> Estimator:
    """As `read`, on a device; the process keeps the last one."""
    found = read(folder)
    model: Any = found.model
    return Estimator(model.to(on), found.front)


def read(folder: Path) -> Estimator:
    """The model of a folder, on the CPU. Raises ConfigError model:checkpoint when it is another one."""
    try:
        made: Any = AgeGender.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        front = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ConfigError("model:checkpoint", f"{folder} cannot be read as a model: {error}") from None
    model, found = made
    odd = {*found["missing_keys"], *found["unexpected_keys"]} - SPARE
    odd |= {str(key) for key in found["mismatched_keys"]}
    if odd:
        raise ConfigError(
            "model:checkpoint",
            f"{folder} is another model than wav2vec2-large-robust-*-ft-age-gender: {sorted(odd)[:3]} do not fit",
        )
    return Estimator(model.eval(), front)
