"""Distributions of sigma: as declared, monotone in the draw, stateless, and shared where they should be."""

import math

import pytest
from pydantic import ValidationError
from scipy import stats

from manifests.errors import ConfigError
from trainer.documents import draw_conditions
from trainer.objective import ObjectiveSettings
from trainer.settings import load_train_settings
from trainer.sigmas import MediaSigmas, SigmaSettings, TokenShift, draw_sigmas, shifted, sigma_at

CELLS = (640, 215)
N = 4000


def drawn(settings: SigmaSettings, **how) -> list[float]:
    both = MediaSigmas(video=settings)
    return [draw_sigmas(7, position, both, CELLS, **how)[0] for position in range(N)]


def cdf_of_shifted(shift: float):
    """Of s u / (1 + (s - 1) u) for uniform u: its inverse."""
    return lambda sigma: sigma / (shift - (shift - 1) * sigma)


@pytest.mark.parametrize(
    ("settings", "cdf"),
    [
        (SigmaSettings(), stats.uniform.cdf),
        (SigmaSettings(shift=5.0), cdf_of_shifted(5.0)),
        (
            SigmaSettings(draw="logit_normal", mean=-0.5, std=1.2),
            lambda x: stats.norm.cdf(stats.logistic.ppf(x), -0.5, 1.2),
        ),
        (
            SigmaSettings(draw="logit_normal", shift=3.0, uniform_share=0.1),
            lambda x: 0.1 * x + 0.9 * stats.norm.cdf(stats.logistic.ppf(x), math.log(3.0), 1.0),
        ),
        (
            SigmaSettings(shift=TokenShift(cells=(600, 680), shifts=(2.0, 8.0))),
            cdf_of_shifted(4.0),
        ),
    ],
)
def test_sigma_is_distributed_as_declared(settings, cdf):
    """Kolmogorov-Smirnov: the last bound is that of 4,000 draws at p = 0.01; a wrong shape misses it by far."""
    sample = drawn(settings)
    assert all(0 <= sigma <= 1 for sigma in sample)
    assert stats.kstest(sample, cdf).statistic < 1.63 / math.sqrt(N)
    wrong = cdf_of_shifted(2.0)
    assert stats.kstest(sample, wrong).statistic > 2 * 1.63 / math.sqrt(N)


@pytest.mark.parametrize("draw", ["uniform", "logit_normal"])
@pytest.mark.parametrize("shift", [0.3, 1.0, 5.0, TokenShift()])
def test_the_map_is_monotone_and_stays_inside(draw, shift):
    settings = SigmaSettings(draw=draw, shift=shift)
    levels = [sigma_at(u, settings, 2000) for u in (0.0, 1e-12, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 2**-53)]
    assert levels == sorted(levels) and len(set(levels)) == len(levels)
    assert levels[0] >= 0 and levels[-1] <= 1


def test_a_shift_moves_the_mean_of_the_logit():
    """sigma' / (1 - sigma') = s sigma / (1 - sigma): so LTX's mu is the log of our s."""
    moved, shift = (
        SigmaSettings(draw="logit_normal", mean=0.95),
        SigmaSettings(draw="logit_normal", shift=math.exp(0.95)),
    )
    for u in (0.01, 0.3, 0.9):
        assert sigma_at(u, moved, 1) == pytest.approx(sigma_at(u, shift, 1), rel=1e-12)
    assert shifted(0.0, 5.0) == 0 and shifted(1.0, 5.0) == 1 and shifted(0.5, 3.0) == pytest.approx(0.75)


def test_the_resolution_shift_is_that_of_ltx_and_flux_and_holds_outside():
    ltx = TokenShift()
    assert [math.log(ltx.at(n)) for n in (1024, 2560, 4096)] == pytest.approx([0.95, 1.5, 2.05])
    assert ltx.at(10) == ltx.at(1024) and ltx.at(60_000) == pytest.approx(ltx.at(4096))
    flux = TokenShift(cells=(256, 4096), shifts=(math.exp(0.5), math.exp(1.15)))
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    assert math.log(flux.at(1500)) == pytest.approx(calculate_shift(1500), rel=1e-9)
    assert TokenShift(cells=(256, 4096), shifts=(1.0, 3.0), between="linear").at(2176) == pytest.approx(2.0)
    with pytest.raises(ValidationError, match="smaller first"):
        TokenShift(cells=(4096, 1024))


def test_the_scheduler_of_diffusers_shifts_alike():
    from diffusers import FlowMatchEulerDiscreteScheduler

    plain, five = (FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=s) for s in (1.0, 5.0))
    for u, sigma in zip(plain.sigmas.tolist(), five.sigmas.tolist(), strict=True):
        assert shifted(u, 5.0) == pytest.approx(sigma, abs=1e-6)


def test_shared_is_one_draw_each_with_its_own_shift():
    even, apart = MediaSigmas(), MediaSigmas(video=SigmaSettings(shift=5.0), audio=SigmaSettings(draw="logit_normal"))
    for position in range(50):
        video, audio = draw_sigmas(1, position, even, CELLS)
        assert video == audio
        pair = draw_sigmas(1, position, apart, CELLS)
        assert pair == (shifted(video, 5.0), sigma_at(video, apart.audio, CELLS[1]))


def test_independent_media_do_not_correlate_and_mixed_ones_are_shared_as_often_as_said():
    def pairs(coupling):
        return [draw_sigmas(3, i, MediaSigmas(), CELLS, coupling, 0.3) for i in range(N)]

    independent, mixed = pairs("independent"), pairs("mixed")
    assert abs(stats.pearsonr(*zip(*independent)).statistic) < 0.05
    equal = sum(video == audio for video, audio in mixed) / N
    assert equal == pytest.approx(0.7, abs=0.03)
    assert all(pair in (same, (same[0], same[0])) for pair, same in zip(mixed, independent))


def test_draws_know_nothing_but_seed_and_position(document):
    settings = ObjectiveSettings(coupling="mixed", sigma=MediaSigmas(audio=SigmaSettings(uniform_share=0.5, shift=3)))
    sample = document(0, "T2AV").sample
    forward = [draw_conditions(sample, i, settings.draws(5)).sigma_audio for i in range(6)]
    assert [draw_conditions(sample, i, settings.draws(5)).sigma_audio for i in reversed(range(6))] == forward[::-1]
    assert [draw_conditions(sample, i, settings.draws(6)).sigma_audio for i in range(6)] != forward


def test_the_default_is_the_papers(document):
    """Uniform, one for both: the very numbers of the plain draws, so that old runs go on bit-equal."""
    from trainer.data.draws import draw_uniform

    sample = document(0, "T2AV").sample
    for position in range(5):
        drawn = draw_conditions(sample, position, ObjectiveSettings().draws(2))
        assert drawn.sigma_video == drawn.sigma_audio == draw_uniform(2, position, "sigma_v")


def test_presets_fill_what_is_not_given():
    mova = load_train_settings("tiny", ["objective.preset=mova", "objective.sigma.video.draw=logit_normal"]).objective
    assert (mova.video_weight, mova.audio_weight, mova.coupling) == (1.0, 0.2, "independent")
    assert (mova.sigma.video.shift, mova.sigma.audio.shift, mova.sigma.video.draw) == (5.0, 1.0, "logit_normal")
    ovi = load_train_settings("tiny", ["objective.preset=ovi", "objective.audio_weight=0.3"]).objective
    assert (ovi.video_weight, ovi.audio_weight, ovi.coupling) == (0.85, 0.3, "shared")
    assert load_train_settings("tiny", ["objective.preset=klear"]).objective == ObjectiveSettings()
    assert ObjectiveSettings(**mova.model_dump(mode="json")) == mova
    with pytest.raises(ConfigError, match="objective.preset = 'sora'"):
        load_train_settings("tiny", ["objective.preset=sora"])
    with pytest.raises(ConfigError, match="shift"):
        load_train_settings("tiny", ["objective.sigma.video.shift=0"])
