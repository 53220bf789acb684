"""Flow matching: signs, floor, counts, and the yardstick."""

import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from trainer.linear import linear_coefficient, linear_loss
from trainer.model.mmdit import Prediction
from trainer.objective import (
    ObjectiveSettings,
    Reading,
    clean_estimate,
    global_loss,
    loss_counts,
    media_losses,
    row_losses,
    velocity,
)
from trainer.packing import pack


def reading(prediction: str, channels: int, precondition: bool = False) -> Reading:
    return Reading(prediction, precondition, torch.ones(channels), torch.ones(channels))


def test_the_sign_of_velocity_is_that_of_diffusers():
    """With the true velocity, diffusers' own Euler steps take our x_sigma to the clean latent."""
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    scheduler.set_timesteps(4)
    clean, noise = torch.randn(6, 3), torch.randn(6, 3)
    assert torch.allclose(
        scheduler.scale_noise(clean, scheduler.timesteps[1:2], noise),
        (1 - scheduler.sigmas[1]) * clean + scheduler.sigmas[1] * noise,
    )
    x = noise
    for timestep in scheduler.timesteps:
        x = scheduler.step(noise - clean, timestep, x).prev_sample
    assert torch.allclose(x, clean, atol=1e-5)


@pytest.mark.parametrize(("prediction", "precondition"), [("v", False), ("x", False), ("x", True)])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_true_outputs_of_both_predictions_go_through_diffusers_to_the_clean_latent(prediction, precondition, shift):
    """Euler steps of diffusers on our reading of an output, along levels of every shift; at each, both agree on x."""
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(6)
    read = reading(prediction, 3, precondition)
    clean, noise = torch.randn(6, 3), torch.randn(6, 3)
    x = noise
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas):
        level = sigma.expand(6)
        assert torch.allclose(x, (1 - sigma) * clean + sigma * noise, atol=1e-4)
        output = noise - clean if prediction == "v" else clean
        if precondition:
            zero, one = (clean_estimate(torch.full_like(x, value), x, level, read) for value in (0.0, 1.0))
            output = (clean - zero) / (one - zero)
        x = scheduler.step(velocity(output, x, level, read), timestep, x).prev_sample
    # The schedule's last level is below the floor of `x`, which then leaves a part of its noise.
    left = 0.0 if prediction == "v" else scheduler.sigmas[-2]
    assert ((x - clean).abs() <= left * (noise - clean).abs() + 1e-4).all()


@pytest.mark.parametrize("prediction", ["v", "x"])
def test_the_truth_has_no_loss_and_is_the_same_velocity(config, document, prediction):
    batch = pack([document(0, "T2AV", 0.3), document(1, "TI2AV", 0.02)], config)
    t, read = batch.video, reading(prediction, 6)
    truth = t.noise - t.clean if prediction == "v" else t.clean
    assert row_losses(truth, t, read).max() < 1e-9
    above = (t.sigma >= 0.05) & (t.carries_loss > 0)
    assert torch.allclose(velocity(truth, t.noisy, t.sigma, read)[above], (t.noise - t.clean)[above], atol=1e-5)


def test_preconditioned_the_zero_output_is_the_linear_predictor_and_the_truth_is_still_reached(config, document):
    t, read = pack([document(0, "T2AV", 0.3), document(1, "T2AV", 0.02)], config).video, reading("x", 6, True)
    expected = linear_coefficient(read.variance, t.sigma) * t.noisy * (t.sigma / t.sigma.clamp_min(0.05))[:, None]
    rows = t.carries_loss > 0
    assert torch.allclose(velocity(torch.zeros_like(t.clean), t.noisy, t.sigma, read)[rows], expected[rows], atol=1e-5)
    zero, one = (clean_estimate(torch.full_like(t.clean, x), t.noisy, t.sigma, read) for x in (0.0, 1.0))
    truth = (t.clean - zero) / (one - zero).clamp_min(1e-6)
    assert row_losses(truth, t, read).max() < 1e-6


def test_clean_tokens_are_clean_and_carry_no_loss(config, document):
    batch = pack([document(0, "TI2AV", 0.7)], config)
    first = torch.arange(len(batch.video.sigma)) < 6
    assert torch.equal(batch.video.noisy[first], batch.video.clean[first])
    assert not batch.video.carries_loss[first].any()
    assert batch.video.carries_loss[~first][:-16].all()
    assert (batch.packed.group[0][first] == 0).all()


def test_the_loss_is_the_global_token_mean_however_it_is_split(config, document):
    documents = [document(i, task) for i, task in enumerate(("T2AV", "T2V", "T2A", "TI2V"))]
    g = torch.Generator().manual_seed(0)

    def share(parts, counts):
        total = torch.zeros(())
        for part in parts:
            batch = pack(part, config)
            g.manual_seed(0)
            zero = Prediction(torch.zeros_like(batch.video.clean), torch.zeros_like(batch.audio.clean))
            losses = media_losses(zero, batch, {"video": reading("x", 6), "audio": reading("x", 5)})
            total = total + global_loss(losses, counts, ObjectiveSettings())
        return total

    counts = loss_counts(pack(documents, config))
    assert torch.equal(counts, sum(loss_counts(pack([d], config)) for d in documents))
    assert torch.allclose(share([documents], counts), share([documents[:1], documents[1:]], counts), rtol=1e-5)


def test_the_yardstick_is_half_pi_for_unit_variance_and_uniform_sigma():
    sigma = (torch.arange(20_000) + 0.5) / 20_000
    assert linear_loss(torch.ones(3), torch.ones(3), sigma, "v").mean().item() == pytest.approx(math.pi / 2, abs=1e-4)
    midpoints = (torch.arange(8) + 0.5) / 8
    at_eight = [linear_loss(torch.ones(3), torch.ones(3), midpoints, p).mean().item() for p in ("v", "x")]
    assert at_eight == pytest.approx([math.pi / 2] * 2, abs=3e-3)


@pytest.mark.parametrize("prediction", ["v", "x"])
@pytest.mark.parametrize("sigma", [0.01, 0.2, 0.9])
def test_no_other_linear_predictor_beats_the_yardstick(prediction, sigma):
    """On samples, through the objective's own loss: the yardstick's slope gives its loss, other slopes give more."""
    g = torch.Generator().manual_seed(0)
    variance, weights = torch.tensor([0.2, 3.0]), torch.tensor([1.6, 0.4])
    clean = torch.randn(400_000, 2, generator=g) * variance.sqrt()
    noise = torch.randn(400_000, 2, generator=g)
    level = torch.full((1,), sigma)
    noisy = (1 - sigma) * clean + sigma * noise
    floor = max(sigma, 0.05) if prediction == "x" else sigma
    target = (noise - clean) * sigma / floor
    slope = linear_coefficient(variance, level) * sigma / floor
    measured = [((target - s * noisy).square() * weights).mean().item() for s in (slope, slope + 0.1, slope - 0.1)]
    assert measured[0] == pytest.approx(linear_loss(variance, weights, level, prediction).item(), rel=0.01)
    assert measured[0] < min(measured[1:])
