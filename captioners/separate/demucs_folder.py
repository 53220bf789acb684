"""Hybrid Transformer Demucs out of a local folder, as its authors publish it, without running what the files name.

Two formats: `<signature>-<checksum>.th` of https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/ (a pickle of
class, arguments and state), and `<signature>.safetensors` of the hub's repositories (the same, as metadata).
`<name>.yaml` names the models of a bag, and how much each counts for each stem. demucs 4.1 itself reads a pickle
without limits, and builds whatever the metadata names; here nothing but HTDemucs is built, of plain values and tensors.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from manifests.errors import BackendAbsent, ConfigError
from media.weights import sha256_of

VOICE = "vocals"
SHAPE = (2, 44_100)
"""Channels and Hz of all published models."""
_WHERE = (
    "put the .th files of https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/ with the .yaml of demucs/remote/, "
    "or the files of https://huggingface.co/adefossez/HTDemucs (MIT, as demucs) there, or name another backend"
)


@dataclass(frozen=True)
class Bag:
    """Models that vote. files: one a model. weights: (models, stems), None when all count the same. segment: most
    seconds of a window, None for the models' own."""

    files: tuple[Path, ...]
    weights: list[list[float]] | None = None
    segment: float | None = None


class _Listed(BaseModel):
    """A bag's file."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    models: list[str] = Field(min_length=1)
    weights: list[list[float]] | None = None
    segment: float | None = None


def find(folder: Path, name: str) -> Bag:
    """The bag `name.yaml`, or the model whose signature is `name`. Raises BackendAbsent backend:weights."""
    listed = folder / f"{name}.yaml"
    if not listed.is_file():
        return Bag((_file(folder, name),))
    try:
        bag = _Listed.model_validate(yaml.safe_load(listed.read_text()))
    except (yaml.YAMLError, ValueError) as error:
        what = "it should say `models: [signature, ...]`"
        raise ConfigError("model:checkpoint", f"{listed} names no bag of models, {what}: {error}") from None
    return Bag(tuple(_file(folder, sign) for sign in bag.models), bag.weights, bag.segment)


def _file(folder: Path, sign: str) -> Path:
    found = [
        p for p in sorted(folder.glob("*")) if p.suffix in {".th", ".safetensors"} and p.stem.split("-")[0] == sign
    ]
    if len(found) == 1:
        return found[0]
    what = f"two files of {sign}: {[p.name for p in found]}" if found else f"no {sign}"
    raise BackendAbsent("backend:weights", f"separator demucs: {folder} holds {what}; {_WHERE}")


def load(bag: Bag) -> list[tuple[Any, float]]:
    """The models that say something of the voice, on the CPU, each with its share.

    Raises ConfigError model:checkpoint for a file that is damaged or another model.
    """
    models = [_load(path) for path in bag.files]
    for model, path in zip(models, bag.files):
        if VOICE not in model.sources or (model.audio_channels, model.samplerate) != SHAPE:
            what = f"{model.sources} of {model.audio_channels} channels at {model.samplerate} Hz"
            raise ConfigError(
                "model:checkpoint", f"{path} makes {what}; {VOICE} of (channels, Hz) = {SHAPE} are needed"
            )
        model.segment = min(model.segment, bag.segment or model.segment)
    shares = _shares(bag, [model.sources for model in models])
    return [(model, share / sum(shares)) for model, share in zip(models, shares) if share]


def _shares(bag: Bag, sources: list[list[str]]) -> list[float]:
    """How much each model counts for the voice."""
    if bag.weights is None:
        return [1.0] * len(sources)
    shares = [row[stems.index(VOICE)] for row, stems in zip(bag.weights, sources) if len(row) == len(stems)]
    if len(bag.weights) != len(sources) or len(shares) != len(sources) or sum(shares) <= 0:
        what = f"{len(sources)} models of {[len(stems) for stems in sources]} stems"
        raise ConfigError("model:checkpoint", f"the bag's weights {bag.weights} do not fit {what}, {VOICE} among them")
    return shares


def _load(path: Path) -> Any:
    stated = path.stem.partition("-")[2]
    if not sha256_of(path).startswith(stated):
        raise ConfigError(
            "model:checkpoint", f"{path} is damaged: its sha256 does not begin with {stated}; fetch it again"
        )
    try:
        return (_from_safetensors if path.suffix == ".safetensors" else _from_pickle)(path).eval()
    except Exception as error:
        first = str(error).partition("\n")[0][:300]
        raise ConfigError("model:checkpoint", f"{path} is no model of HTDemucs: {first}") from None


def _from_pickle(path: Path) -> Any:
    import numpy as np
    import torch
    from demucs.htdemucs import HTDemucs
    from demucs.states import load_model

    scalar: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]  # of the training's settings, unused here
    plain = [HTDemucs, Fraction, (scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, np.dtypes.Float64DType]
    with torch.serialization.safe_globals(plain):
        package = torch.load(path, map_location="cpu", weights_only=True)
    if package["klass"] is not HTDemucs or not all(hasattr(value, "shape") for value in package["state"].values()):
        raise ValueError(f"it says {package['klass']}")
    return load_model(package)


def _from_safetensors(path: Path) -> Any:
    from demucs.hf import load_safetensors_model
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        said = file.metadata() or {}
    if said.get("klass") != "demucs.htdemucs.HTDemucs" or "structure" in said:
        raise ValueError(f"it says {said.get('klass')}")
    return load_safetensors_model(path)
