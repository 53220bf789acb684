"""Ray Train's workers train what one process trains, and their errors are ours."""

import pytest
import torch

from manifests.errors import ConfigError
from trainer import launch_ray
from trainer.checkpoint import latest
from trainer.export.stored import Part
from trainer.launch_ray import Workers, train_on_ray
from trainer.loop import train


@pytest.mark.slow
def test_two_workers_of_which_one_dies_once_equal_one_process(ray_session, out, tiny, tmp_path, monkeypatch):
    """The first worker dies in its fourth step: both are started again and go on."""
    one = train(tiny, out, 1)
    part = Part(latest(out, 1), "ema")
    expected = part.read(list(part.sizes.items()), torch.float32)
    for folder in latest(out, 1).parent.iterdir():
        folder.rename(tmp_path / folder.name)
    died = tmp_path / "died"

    def die_once(task):
        import os

        import ray.train

        from trainer import loop
        from trainer.launch_ray import work

        step, calls = loop.train_step, []

        def dying(*arguments):
            calls.append(None)
            if len(calls) == 4:
                died.touch()
                os._exit(9)
            return step(*arguments)

        if ray.train.get_context().get_world_rank() == 0 and not died.exists():
            loop.train_step = dying
        return work(task)

    monkeypatch.setattr(launch_ray, "work", die_once)
    two = train_on_ray(tiny, out, 1, Workers(2, 0))
    assert died.exists()
    assert two["processes"] == 2 and two["launcher"] == "ray" and two["samples"] == one["samples"]
    for medium in ("video", "audio"):
        assert two["heldout"][-1][medium] == pytest.approx(one["heldout"][-1][medium], rel=1e-4)
    made = Part(latest(out, 1), "ema").read(list(part.sizes.items()), torch.float32)
    assert all(torch.allclose(made[name], tensor, atol=2e-5) for name, tensor in expected.items())


@pytest.mark.slow
def test_an_error_of_a_worker_is_ours_and_is_not_tried_for_ever(ray_session, out, tiny):
    train(tiny, out, 1)
    wider = tiny.model_copy(update={"model": tiny.model.model_copy(update={"ffn": 64})})
    with pytest.raises(ConfigError, match=r"model\.ffn was 48, is 64"):
        train_on_ray(wider, out, 1, Workers(1, 0))


def test_what_cannot_be_placed_is_refused_at_once(ray_session, out, tiny):
    with pytest.raises(ConfigError, match="lower --workers"):
        train_on_ray(tiny, out, 1, Workers(64, 0))
    with pytest.raises(ConfigError, match="at least 1"):
        train_on_ray(tiny, out, 1, Workers(0, 0))
    with pytest.raises(ConfigError, match="gpus-per-worker"):
        train_on_ray(tiny, out, 1, Workers(1, -1))
    with pytest.raises(ConfigError, match="stages 1 to 2"):
        train_on_ray(tiny, out, 3, Workers(1, 0))
