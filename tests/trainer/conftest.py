"""Small synthetic samples and a tiny model for the trainer's tests."""

from collections.abc import Callable

import pytest
import torch

from trainer.data.sample import Sample
from trainer.model.config import BytesConfig, ModelConfig, RopeConfig
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.packing import Conditions, Document, PackedBatch, pack
from trainer.tasks import TASKS


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig(
        width=32,
        layers=2,
        heads=2,
        ffn=48,
        video_channels=6,
        audio_channels=5,
        text_dim=7,
        bytes=BytesConfig(width=8, layers=1, kernel=3),
        rope=RopeConfig(axes=(6, 4, 4)),
    )


def _sample(seed: int, speech: str = "hello") -> Sample:
    g = torch.Generator().manual_seed(seed)
    latents = 2 + seed % 2
    return Sample(
        key=f"{seed:032x}",
        split="train",
        audio_class="sound",
        tasks=tuple(TASKS),
        video=torch.randn(latents, 2, 3, 6, generator=g),
        audio=torch.randn(round(43.07 * (8 * latents - 7) / 24), 5, generator=g),
        video_text=torch.randn(4 + seed % 3, 7, generator=g),
        audio_text=torch.randn(5, 7, generator=g),
        speech=torch.tensor(list(speech.encode()), dtype=torch.uint8),
    )


def _document(seed: int, task: str, sigma: float = 0.6, **drops: bool) -> Document:
    sample = _sample(seed, "" if seed % 4 == 3 else f"words {seed}")
    g = torch.Generator().manual_seed(1000 + seed)
    noise = [torch.randn(x.shape, generator=g) for x in (sample.video, sample.audio)]
    return Document(sample, TASKS[task], Conditions(sigma, sigma, noise[0], noise[1], **drops))


@pytest.fixture
def document() -> Callable[..., Document]:
    """document(seed, task, sigma=0.6, drop_...=False): a synthetic document."""
    return _document


@pytest.fixture
def batch(config: ModelConfig) -> PackedBatch:
    """All five tasks in one micro-batch."""
    return pack([_document(i, task, 0.1 + 0.2 * i) for i, task in enumerate(TASKS)], config)


@pytest.fixture
def model(config: ModelConfig) -> MMDiT:
    """A model with every weight random, AdaLN and heads too: at the real start it would predict 0."""
    model = MMDiT(config)
    init_weights(model, 0)
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=g))
    return model
