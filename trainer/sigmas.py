"""Where on the way from clean to noise training looks: distributions of sigma, and what the two media share of it.

Every sigma is a monotone map of one uniform number u of the stateless draws, so media that share u stay in the same
order of noisiness even when each has a shift of its own.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.settings import Settings
from trainer.data.draws import Purpose, draw_uniform

_LEAST = 2.0**-54
"""Where u is 0, which the normal's quantile does not take: half of the smallest step of a draw."""
_NORMAL = NormalDist()


class TokenShift(Settings):
    """A shift that grows with what a document holds of the medium: s at two numbers of latent cells.

    Between them `log` lets log s grow linearly (Flux, LTX: their mu is log s), `linear` s itself (Open-Sora 2); beyond
    them s stays, since the lines of those papers, carried on to 720p, would leave nothing but noise. LTX, the default:
    mu = 0.95 at 1,024 and 2.05 at 4,096 tokens; Flux in diffusers: 0.5 at 256 and 1.15 at 4,096; Open-Sora 2: s = 1 at
    256 and 3 at 4,096.
    """

    cells: tuple[int, int] = (1024, 4096)
    shifts: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (math.exp(0.95), math.exp(2.05))
    between: Literal["log", "linear"] = "log"

    @model_validator(mode="after")
    def _ordered(self) -> "TokenShift":
        if not 0 < self.cells[0] < self.cells[1]:
            raise ValueError(f"cells {self.cells} must be two positive counts, the smaller first")
        return self

    def at(self, cells: int) -> float:
        """s for a document with so many latent cells of the medium."""
        low, high = self.cells
        way = min(1.0, max(0.0, (cells - low) / (high - low)))
        if self.between == "log":
            return math.exp((1 - way) * math.log(self.shifts[0]) + way * math.log(self.shifts[1]))
        return (1 - way) * self.shifts[0] + way * self.shifts[1]


class SigmaSettings(Settings):
    """One medium's distribution of sigma.

    draw: uniform in [0, 1) (the paper, equation 2), or logit_normal: the sigmoid of a normal with `mean` and `std`
    (SD3). shift: s in sigma' = s sigma / (1 + (s - 1) sigma), a number or a `TokenShift`; 1 is none. It adds log s to
    the logit, so a shifted logit-normal is one with another mean. uniform_share: of the documents whose sigma is u
    itself, whatever the rest says (LTX: 0.1), so that no level is starved.
    """

    draw: Literal["uniform", "logit_normal"] = "uniform"
    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)
    shift: Annotated[float, Field(gt=0)] | TokenShift = 1.0
    uniform_share: float = Field(default=0.0, ge=0, le=1)


class MediaSigmas(Settings):
    """The distribution of each medium; a medium's text takes its sigma."""

    video: SigmaSettings = SigmaSettings()
    audio: SigmaSettings = SigmaSettings()


Coupling = Literal["shared", "independent", "mixed"]


def shifted(sigma: float, shift: float) -> float:
    """s sigma / (1 + (s - 1) sigma): more noise for s > 1 (SD3, its shift for resolutions)."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def sigma_at(u: float, settings: SigmaSettings, cells: int) -> float:
    """The sigma that u in [0, 1) stands for; increasing in u. cells: the document's latent cells of the medium."""
    shift = settings.shift.at(cells) if isinstance(settings.shift, TokenShift) else settings.shift
    if settings.draw == "logit_normal":
        logit = settings.mean + settings.std * _NORMAL.inv_cdf(max(u, _LEAST))
        # Both forms are the sigmoid; each is exact where the other overflows.
        u = 1 / (1 + math.exp(-logit)) if logit > 0 else math.exp(logit) / (1 + math.exp(logit))
    return u if shift == 1 else shifted(u, shift)


def draw_sigmas(
    seed: int,
    position: int,
    settings: MediaSigmas,
    cells: tuple[int, int],
    coupling: Coupling = "shared",
    independent: float = 0.5,
) -> tuple[float, float]:
    """Sigma of video and of audio for the sample at this position of the stream.

    cells: its latent cells of video and of audio. coupling: `shared` is one u for both (the paper's one t),
    `independent` one each, `mixed` is independent with chance `independent`, by a draw of its own, else shared.
    """

    def uniform(purpose: Purpose) -> float:
        return draw_uniform(seed, position, purpose)

    apart = coupling == "independent" or (coupling == "mixed" and uniform(Purpose.COUPLING) < independent)
    video = _one(uniform, settings.video, cells[0], Purpose.SIGMA_V, Purpose.UNIFORM_V)
    if apart:
        return video, _one(uniform, settings.audio, cells[1], Purpose.SIGMA_A, Purpose.UNIFORM_A)
    return video, _one(uniform, settings.audio, cells[1], Purpose.SIGMA_V, Purpose.UNIFORM_V)


def _one(
    uniform: Callable[[Purpose], float], settings: SigmaSettings, cells: int, level: Purpose, choice: Purpose
) -> float:
    """One medium's sigma from the draw for `level`; the draw for `choice` picks the share that stays uniform."""
    u = uniform(level)
    if settings.uniform_share and uniform(choice) < settings.uniform_share:
        return u
    return sigma_at(u, settings, cells)
