"""Whether a checkpoint belongs to this model and these latents: weights mean nothing on other channel statistics."""

from pathlib import Path

from manifests.errors import ConfigError
from trainer.checkpoint import read_progress
from trainer.data.latents import LatentSet
from trainer.settings import TrainSettings, as_plain


def check_fits(folder: Path, settings: TrainSettings, latents: LatentSet) -> None:
    """Raise ConfigError when the checkpoint in `folder` was trained on other latents, with another model, or to output
    something else."""
    progress = read_progress(folder)
    if progress.latents != latents.recipe:
        raise ConfigError(
            "checkpoint:latents",
            f"{folder} was trained on latents {progress.latents}, not on {latents.recipe}: "
            f"train in another OUT, move {folder.parents[1]} away, or name the old ones with --set latents=...",
        )
    if progress.settings.get("lora") != as_plain(settings)["lora"]:
        raise ConfigError(
            "checkpoint:lora",
            f"{folder} was trained with lora = {progress.settings.get('lora')}: set that, or train in another OUT",
        )
    meaning = progress.settings.get("objective", {})
    for key in ("prediction", "precondition"):
        old, now = meaning.get(key), getattr(settings.objective, key)
        if old != now:
            raise ConfigError(
                "checkpoint:objective",
                f"{folder} was trained with objective.{key} = {old!r}, which is what its output means, not {now!r}: "
                f"set that, or train in another OUT",
            )
    old, now = progress.settings.get("model", {}), as_plain(settings)["model"]
    if old != now and isinstance(now, dict):
        other = [f"model.{n} was {old.get(n)!r}, is {now[n]!r}" for n in sorted(now) if old.get(n) != now[n]]
        raise ConfigError(
            "checkpoint:model",
            f"{folder} holds another model ({', '.join(other)}): use the preset it was trained with",
        )
