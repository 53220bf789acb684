"""Channel statistics: what comes out has the promised mean and variance, goes back exactly, and survives the disk."""

from pathlib import Path

import pytest
import torch

from manifests.errors import ConfigError
from trainer.codecs.stats import ChannelStats, Scaling, asinh_, load_stats, save_stats


def _latents(channels: int = 16) -> list[torch.Tensor]:
    """Heavy-tailed rows whose deviations span 300:1, with means; two of unequal length."""
    make = torch.Generator().manual_seed(0)
    scale = torch.logspace(0, -2.5, channels)
    rows = [torch.randn(n, 3, channels, generator=make) for n in (400, 700)]
    return [r * r.abs() * scale + 2 * scale for r in rows]


@pytest.mark.parametrize("scaling", [Scaling(0, 1), Scaling(4, 1), Scaling(1, 0.5, (0,)), Scaling(1, 0)])
def test_normalised_channels_have_mean_0_and_the_stated_variance(scaling: Scaling) -> None:
    latents = _latents()
    stats = ChannelStats.fit("test-1", scaling, latents)
    rows = torch.cat([stats.normalise(x).reshape(-1, 16) for x in latents]).double()
    assert rows.mean(0).abs().max() < 1e-4
    torch.testing.assert_close(rows.var(0, correction=0), stats.variance, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(stats.denormalise(stats.normalise(latents[0])), latents[0], rtol=1e-4, atol=1e-5)


def test_p_half_keeps_the_square_root_of_the_proportions() -> None:
    stats = ChannelStats.fit("test-1", Scaling(0, 0.5, (0,)), _latents())
    ratio = (stats.gain / stats.deviation.sqrt())[1:]
    torch.testing.assert_close(ratio, ratio[:1].expand(15), rtol=1e-9, atol=0)
    assert float(stats.gain[0]) == 1
    assert float((stats.gain[1:] ** 2).mean()) == pytest.approx(1)


def test_loss_weights_follow_the_deviation_within_bounds() -> None:
    weights = ChannelStats.fit("test-1", Scaling(0, 0.5), _latents()).loss_weights
    assert float(weights.mean()) == pytest.approx(1, abs=1e-6)
    assert (weights.diff() <= 1e-6).all() and float(weights.max() / weights.min()) <= 64


def test_a_constant_channel_stays_constant() -> None:
    latents = [torch.cat([x, torch.full_like(x[..., :1], 5.0)], -1) for x in _latents()]
    stats = ChannelStats.fit("test-1", Scaling(4, 0.5), latents)
    assert stats.normalise(latents[0])[..., -1].abs().max() < 1e-3
    assert float(stats.variance[-1]) < 1e-6
    torch.testing.assert_close(stats.denormalise(stats.normalise(latents[0])), latents[0], rtol=1e-4, atol=1e-4)


def test_nothing_to_fit_on_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no training latents"):
        ChannelStats.fit("test-1", Scaling(0, 1), [])


def test_statistics_survive_the_disk_and_an_altered_file_is_noticed(tmp_path: Path) -> None:
    video = ChannelStats.fit("dct-1", Scaling(1, 0.5), _latents())
    audio = ChannelStats.fit("logmel4-1", Scaling(0, 1), _latents(8))
    save_stats(tmp_path, {"video": video, "audio": audio})
    loaded = load_stats(tmp_path)
    assert loaded["video"].recipe == video.recipe != audio.recipe == loaded["audio"].recipe
    torch.testing.assert_close(loaded["audio"].spread, audio.spread, rtol=0, atol=0)
    plain = tmp_path / "stats.json"
    plain.write_text(plain.read_text().replace('"count": 3300', '"count": 3301'))
    with pytest.raises(ConfigError, match="do not match"):
        load_stats(tmp_path)


def test_the_fast_asinh_is_asinh() -> None:
    x = torch.cat([torch.logspace(-30, 15, 40_000), -torch.logspace(-30, 15, 40_000), torch.zeros(3)])
    torch.testing.assert_close(asinh_(x.clone()).double(), x.double().asinh(), rtol=4e-7, atol=0)


def test_half_precision_normalises_as_its_float() -> None:
    stats = ChannelStats.fit("test-1", Scaling(1, 0.5, (0,)), _latents())
    half = _latents()[0].half()
    assert torch.equal(stats.normalise(half), stats.normalise(half.float())) and half.dtype == torch.float16


def test_what_a_model_makes_beyond_the_training_range_is_brought_back():
    latents = [torch.randn(50, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 10.0, 0.1])]
    stats = ChannelStats.fit("made-up-1", Scaling(1.0, 0.5), latents)
    assert torch.equal(stats.within(latents[0]), latents[0])
    wild = stats.within(stats.denormalise(torch.full((1, 3), 9.0)))
    assert torch.allclose(wild, latents[0].amax(0)) and stats.denormalise(torch.full((1, 3), 9.0)).max() > 100
