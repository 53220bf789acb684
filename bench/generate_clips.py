"""The clips that generation is timed on: T2AV of 5 s, with and without captions."""

from dataclasses import replace

from bench.step.sizes import clip_of, made_up_batch
from trainer.clocks import video_latents_for
from trainer.documents import Document
from trainer.model.config import ModelConfig
from trainer.patches import CELL
from trainer.tasks import TASKS

Grid = tuple[int, int, int]
Pair = tuple[Document, Document]

SECONDS = 5.0
CLIPS: dict[str, Grid] = {
    name: (video_latents_for(SECONDS), height // CELL, width // CELL)
    for name, (width, height) in {"256p": (448, 256), "480p": (848, 480)}.items()
}
"""Video tokens (T, H, W), a cell a token as in the presets: 7,168 and 25,440. Beside them 216 of audio and 744 of text;
without captions 3 of text."""


def pair_of(config: ModelConfig, grid: Grid) -> Pair:
    """A document at sigma 1, and the same without its captions."""
    document = made_up_batch(config, clip_of(grid), TASKS["T2AV"]).documents[0]
    noisy = replace(document.conditions, sigma_video=1.0, sigma_audio=1.0)
    bare = replace(noisy, drop_video_text=True, drop_audio_caption=True, drop_transcript=True)
    return replace(document, conditions=noisy), replace(document, conditions=bare)
