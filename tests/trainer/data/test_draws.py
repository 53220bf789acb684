"""Draws: a function of seed, position and purpose; distributed as said; pinned, so that a change is noticed."""

import pytest
import torch

from trainer.data.draws import Purpose, draw_normal, draw_uniform


def test_draws_depend_on_seed_position_and_purpose_only() -> None:
    first = draw_uniform(1, 2, Purpose.SIGMA_V)
    draw_normal(1, 2, "noise_v", (100,))
    assert draw_uniform(1, 2, "sigma_v") == first
    others = [draw_uniform(0, 2, "sigma_v"), draw_uniform(1, 3, "sigma_v"), draw_uniform(1, 2, "sigma_a")]
    assert len({first, *others}) == 4


def test_draws_are_pinned() -> None:
    assert draw_uniform(0, 0, Purpose.TASK) == pytest.approx(0.7126782664429472, abs=1e-15)
    torch.testing.assert_close(
        draw_normal(0, 5, Purpose.NOISE_V, (3,)),
        torch.tensor([-0.10189303755760193, 1.1658248901367188, 0.21261653304100037]),
    )


def test_uniform_and_normal_moments() -> None:
    uniform = torch.tensor([draw_uniform(3, i, Purpose.DROP_VIDEO_TEXT) for i in range(4000)])
    assert abs(float(uniform.mean()) - 0.5) < 0.02 and abs(float(uniform.var()) - 1 / 12) < 0.006
    normal = torch.stack([draw_normal(3, i, Purpose.NOISE_A, (50, 4)) for i in range(100)])
    assert normal.dtype == torch.float32
    assert abs(float(normal.mean())) < 0.03 and abs(float(normal.std()) - 1) < 0.03
    assert abs(float((normal[:-1] * normal[1:]).mean())) < 0.03


def test_an_unknown_purpose_is_refused() -> None:
    with pytest.raises(ValueError, match="lunch"):
        draw_uniform(0, 0, "lunch")
