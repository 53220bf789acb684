"""`config.json` of an export: all that its tensors need to be understood, with no other file of the run.

Numbers are written as Python's shortest exact decimals: float64 statistics come back bit for bit.
"""

from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from typing import Any

import torch

from manifests.errors import ConfigError
from trainer.checkpoint import Progress
from trainer.clocks import AUDIO_HOP, AUDIO_RATE, FRAMES_PER_LATENT, VIDEO_FPS
from trainer.codecs import AudioCodec, VideoCodec, audio_codec, video_codec
from trainer.codecs.stats import ChannelStats
from trainer.objective import SIGMA_FLOOR
from trainer.space import Space
from trainer.text.minilm import MiniLM

FORMAT = "klear-mmdit-1"
INDEX, CONFIG = "model.safetensors.index.json", "config.json"

CONVENTION = {
    "sigma": "0 clean, 1 noise",
    "velocity": "noise - clean",
    "state": "x_sigma = (1 - sigma) clean + sigma noise",
    "step": "x <- x + (sigma_next - sigma) velocity",
    "words": (
        "The velocity is d x_sigma / d sigma and points from data to noise, as in diffusers and LTX; the paper's time "
        "is 1 - sigma and its velocity the negative. Latents are normalised by `statistics` (trainer/codecs/stats.py). "
        "With prediction x the network outputs the clean latent and velocity = (x_sigma - x_hat) / max(sigma, floor). "
        "With precondition, s = sigma, var = statistics.<medium>.variance per channel, p = (1 - s)^2 var + s^2: "
        "x_hat = (1 - s) var / p x_sigma + s^2 sqrt(var / p) output. Video text takes the video's sigma, audio text "
        "the audio's, clean tokens sigma 0."
    ),
}


def describe(progress: Progress, latents: Space) -> dict[str, Any]:
    """The config of a checkpoint's export but for what depends on the weights chosen: JSON-ready."""
    kept = progress.settings
    objective = kept["objective"]
    predicts_clean = objective["prediction"] == "x"
    return {
        "format": FORMAT,
        "model": kept["model"],
        "convention": {
            **CONVENTION,
            "prediction": objective["prediction"],
            "floor": SIGMA_FLOOR if predicts_clean else None,
            "precondition": bool(objective["precondition"] and predicts_clean),
            "precondition_variance": "statistics.<medium>.variance" if predicts_clean else None,
        },
        "rates": {
            "video_fps": VIDEO_FPS,
            "video_frames_per_latent": FRAMES_PER_LATENT,
            "audio_rate": AUDIO_RATE,
            "audio_hop": AUDIO_HOP,
        },
        "codecs": _codecs(latents),
        "text": _text(latents.settings.get("text_encoder", MiniLM.NAME)),
        "statistics": {"video": plain_stats(latents.video_stats), "audio": plain_stats(latents.audio_stats)},
        "encode": latents.settings,
        "settings": {name: kept[name] for name in ("seed", "objective", "generate") if name in kept},
        "training": {
            "klear": version("klear"),
            "torch": torch.__version__,
            "stage": progress.stage,
            "step": progress.step,
            "samples": progress.samples,
            "latents": progress.latents,
            "mixture": dict(progress.mixture),
        },
    }


def _codecs(latents: Space) -> dict[str, dict[str, Any]]:
    """Name, version, channels and licence of both, and what the statistics were fitted on, as `<name>-<version>`."""
    video, audio = video_codec(latents.settings["video_codec"]), audio_codec(latents.settings["audio_codec"])
    return {"video": _codec(video, latents.video_stats), "audio": _codec(audio, latents.audio_stats)}


def _codec(codec: VideoCodec | AudioCodec, fitted: ChannelStats) -> dict[str, Any]:
    return {
        "name": codec.NAME,
        "version": codec.VERSION,
        "licence": codec.LICENCE,
        "channels": len(fitted.variance),
        "fitted_on": fitted.codec,
    }


def _text(name: str) -> dict[str, Any]:
    if name != MiniLM.NAME:
        return {"encoder": name}
    facts = {"encoder": name, "version": MiniLM.VERSION, "channels": MiniLM.CHANNELS, "max_tokens": MiniLM.MAX_TOKENS}
    return facts | {"digest": MiniLM().digest(), "licence": MiniLM.LICENCE}


def plain_stats(stats: ChannelStats) -> dict[str, Any]:
    """Every number of the statistics, vectors as lists, and the hash of them all (`recipe`)."""
    held = {f.name: getattr(stats, f.name) for f in fields(stats)}
    numbers = {name: v.tolist() if isinstance(v, torch.Tensor) else v for name, v in held.items()}
    return numbers | {"recipe": stats.recipe}


def stats_of(numbers: Mapping[str, Any]) -> ChannelStats:
    """The inverse of `plain_stats`. Raises ConfigError when a number was altered."""
    held = {name: value for name, value in numbers.items() if name != "recipe"}
    values: dict[str, Any] = {
        n: torch.tensor(v, dtype=torch.float64) if isinstance(v, list) else v for n, v in held.items()
    }
    stats = ChannelStats(**values)
    if stats.recipe != numbers["recipe"]:
        raise ConfigError("export:altered", f"the statistics of {stats.codec} do not match their recipe: export again")
    return stats
