"""Channel statistics: how raw latents become what the model sees, and back. Scaling decides whether anything is learnt.

    u = (x - mean) / deviation                  the raw channel, whitened
    w = asinh(bend * u) / bend                  companded: linear near 0, logarithmic in the tails (bend 0: w = u)
    y = gain * (w - centre) / spread            what the model sees: mean 0 and deviation `gain` on the training split

gain = deviation ** (1 - p), scaled so that the mean of gain ** 2 over the channels is 1; p = 1 makes every channel
unit variance. With p = 0.5 (video) the channels keep the square root of their natural proportions: the big ones, which
are the picture, stay well above the noise of flow matching, and the small ones drown first, as they should.
`whitened` channels (video DC) always have gain 1. So variances differ between channels: read `variance`.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from operator import methodcaller
from typing import Any

import numpy as np
import torch

from manifests.errors import ConfigError
from manifests.files import AnyPath, exists, read, replace

VERSION = 2
_PIECE = 1 << 14
_QUIET = 1e-4
"""A channel quieter than this share of the loudest is scaled as if it were that loud: a constant stays a constant."""


@dataclass(frozen=True)
class Scaling:
    """How a codec wants its channels scaled: the knee of asinh in deviations, the power p, the channels with p = 1."""

    bend: float
    power: float
    whitened: tuple[int, ...] = ()


@dataclass(frozen=True)
class ChannelStats:
    """Fitted statistics of one codec's channels; float64 (C,) tensors.

    mean, deviation: of the raw channel. centre, spread: of the companded channel. gain: the deviation it is given.
    variance: of the normalised channel, as fitted (gain ** 2, less for a channel that hardly moves); its mean is 0.
    low, high: least and largest value of the raw channel.
    codec: name and version, e.g. `dct-1`. count: rows fitted on. recipe: hash of all of this.
    """

    codec: str
    bend: float
    count: int
    mean: torch.Tensor
    deviation: torch.Tensor
    centre: torch.Tensor
    spread: torch.Tensor
    gain: torch.Tensor
    variance: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    _lines: dict[torch.device, tuple[torch.Tensor, ...]] = field(  # computed, per device, when first wanted
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def fit(cls, codec: str, scaling: Scaling, latents: Collection[torch.Tensor]) -> "ChannelStats":
        """Fit on raw latents, each (..., C), in two passes of float64 in the order given.

        Raises ConfigError when there are none.
        """
        if not latents:
            raise ConfigError("stats:empty", f"no training latents to fit the statistics of {codec} on")
        mean, deviation = _moments(latents, lambda x: x)
        deviation = deviation.clamp(min=max(_QUIET * float(deviation.max()), 1e-12))
        centre, moved = _moments(latents, lambda x: _compand((x - mean) / deviation, scaling.bend))
        spread = torch.where(moved < _QUIET, torch.ones_like(moved), moved)
        gain = _gain(deviation, scaling)
        variance = (gain * moved / spread) ** 2
        ends = [torch.stack([_rows(x).amin(0), _rows(x).amax(0)]) for x in latents]
        low, high = torch.stack(ends)[:, 0].amin(0), torch.stack(ends)[:, 1].amax(0)
        return cls(codec, scaling.bend, _count(latents), mean, deviation, centre, spread, gain, variance, low, high)

    def normalise(self, raw: torch.Tensor | np.ndarray) -> torch.Tensor:
        """Raw latents (..., C) to float32 of the same shape, as the model sees them."""
        raw = torch.as_tensor(raw)
        mean, slope, scale, shift = self._line(raw.device)
        y = torch.sub(raw, mean).mul_(slope)  # half minus float is float: the cast costs no pass of its own
        return torch.addcmul(shift, asinh_(y) if self.bend else y, scale)

    def _line(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Float32 (C,) mean, slope, scale, shift: normalised = asinh((x - mean) slope) scale + shift."""
        if device not in self._lines:
            bend, gain = self.bend or 1.0, self.gain / self.spread
            vectors = self.mean, bend / self.deviation, gain / bend, -self.centre * gain
            self._lines[device] = tuple(v.to(device, torch.float32) for v in vectors)
        return self._lines[device]

    def denormalise(self, normalised: torch.Tensor) -> torch.Tensor:
        """The inverse of `normalise`: float32 (..., C) raw latents, ready to decode."""
        y = normalised.float()
        companded = y * self._like(self.spread / self.gain, y) + self._like(self.centre, y)
        return _expand(companded, self.bend) * self._like(self.deviation, y) + self._like(self.mean, y)

    def within(self, raw: torch.Tensor) -> torch.Tensor:
        """Raw latents (..., C) no further out than any that was seen: what a model makes beyond means nothing to a
        codec, and where companding is undone a small error out there is a large one in the picture."""
        return raw.clamp(self._like(self.low, raw), self._like(self.high, raw))

    @property
    def loss_weights(self) -> torch.Tensor:
        """Float32 (C,), mean 1: proportional to the raw deviation, clipped to 1/4 .. 16 of its mean."""
        weights = (self.deviation / self.deviation.mean()).clamp(0.25, 16)
        return (weights / weights.mean()).float()

    @property
    def recipe(self) -> str:
        """Hex digest of every number here: part of the recipe of what is trained on them."""
        digest = blake2b(json.dumps([VERSION, self.codec, self.bend, self.count]).encode(), digest_size=16)
        for vector in self._vectors().values():
            digest.update(vector.numpy().tobytes())
        return digest.hexdigest()

    def _vectors(self) -> dict[str, torch.Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.type in (torch.Tensor, "torch.Tensor")}

    @staticmethod
    def _like(vector: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
        return vector.to(dtype=torch.float32, device=data.device)


def _gain(deviation: torch.Tensor, scaling: Scaling) -> torch.Tensor:
    gain = deviation ** (1 - scaling.power)
    coloured = torch.ones(len(gain), dtype=torch.bool)
    coloured[list(scaling.whitened)] = False
    gain[~coloured] = 1
    gain[coloured] /= (gain[coloured] ** 2).mean().sqrt()
    return gain


def asinh_(x: torch.Tensor) -> torch.Tensor:
    """asinh in place, float32 of any shape, contiguous. On a CPU 6 times as fast as torch's, which is one number at a
    time: sign(x) log1p(|x| + x^2 / (1 + sqrt(1 + x^2))), by pieces that stay in the cache. Equal to 3e-7 of itself."""
    if x.device.type != "cpu":
        return x.asinh_()
    for piece in x.view(-1).split(_PIECE):
        square = piece * piece
        root = (square + 1).sqrt_().add_(1)
        size = piece.abs().add_(square.div_(root)).log1p_()
        torch.copysign(size, piece, out=piece)
    return x


def _compand(u: torch.Tensor, bend: float) -> torch.Tensor:
    return torch.asinh(bend * u) / bend if bend else u


def _expand(w: torch.Tensor, bend: float) -> torch.Tensor:
    return torch.sinh(bend * w) / bend if bend else w


def _moments(
    latents: Collection[torch.Tensor], change: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation per channel, float64, of changed rows; two passes, since x^2 - mean^2 loses digits."""
    count = _count(latents)
    total = square = torch.zeros(1, dtype=torch.float64)
    for x in latents:
        total = total + change(_rows(x)).sum(0)
    for x in latents:
        square = square + ((change(_rows(x)) - total / count) ** 2).sum(0)
    return total / count, (square / count).sqrt()


def _rows(latents: torch.Tensor) -> torch.Tensor:
    return latents.reshape(-1, latents.shape[-1]).double()


def _count(latents: Collection[torch.Tensor]) -> int:
    return sum(x[..., 0].numel() for x in latents)


def save_stats(folder: AnyPath, stats: Mapping[str, ChannelStats]) -> None:
    """Write `stats.safetensors` (vectors, as `video.mean`) and `stats.json` (the rest, with recipes) into `folder`."""
    from safetensors.torch import save

    vectors = {f"{s}.{k}": v for s, stat in stats.items() for k, v in stat._vectors().items()}
    plain = {
        s: {"codec": stat.codec, "bend": stat.bend, "count": stat.count, "recipe": stat.recipe}
        for s, stat in stats.items()
    }
    note = json.dumps({"version": VERSION, "streams": plain}, indent=1, sort_keys=True) + "\n"
    replace(folder / _VECTORS, methodcaller("write", save(vectors)))
    replace(folder / _PLAIN, methodcaller("write", note.encode()))


def load_stats(folder: AnyPath) -> dict[str, ChannelStats]:
    """Read what `save_stats` wrote, by stream (`video`, `audio`). Raises ConfigError when absent or altered."""
    from safetensors.torch import load

    if not exists(folder / _PLAIN):
        raise ConfigError("stats:absent", f"no {_PLAIN} in {folder}: run `klear-train encode` to the end first")
    plain = json.loads(read(folder / _PLAIN))["streams"]
    vectors = load(read(folder / _VECTORS))
    return {stream: _load_one(stream, row, vectors) for stream, row in plain.items()}


def _load_one(stream: str, row: dict[str, Any], vectors: dict[str, torch.Tensor]) -> ChannelStats:
    own = {k.partition(".")[2]: v for k, v in vectors.items() if k.startswith(f"{stream}.")}
    stat = ChannelStats(row["codec"], row["bend"], row["count"], **own)  # type: ignore[arg-type]
    if stat.recipe != row["recipe"]:
        raise ConfigError("stats:altered", f"the {stream} statistics do not match their recipe {row['recipe']}")
    return stat


_VECTORS, _PLAIN = "stats.safetensors", "stats.json"
