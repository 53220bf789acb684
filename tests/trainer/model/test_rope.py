"""The clocks of MixD-RoPE."""

import pytest
import torch

from trainer.model.config import RopeConfig
from trainer.model.rope import audio_positions, rope_table, rotate, video_positions
from trainer.packing import pack


def test_aligned_gives_equal_ids_to_equal_times():
    config = RopeConfig(audio="aligned")
    video, audio = video_positions(5, 1, 1, config)[:, 0], audio_positions(80, 5, config)[:, 0]
    assert video[0] == audio[0] == 0
    ticks_a_second = 44_100 / 1024
    for k in range(1, 5):
        seconds = (8 * k - 3.5) / 24
        assert video[k].item() == pytest.approx(seconds * ticks_a_second, rel=1e-6)
        nearest = audio[(audio - video[k]).abs().argmin()]
        assert abs(nearest.item() - video[k].item()) <= 0.5


def test_append_gives_audio_ids_after_the_last_of_video():
    config = RopeConfig(audio="append")
    video, audio = video_positions(5, 2, 2, config)[:, 0], audio_positions(7, 5, config)[:, 0]
    assert video.max() == 4
    assert audio.tolist() == [5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("mode", ["append", "aligned"])
def test_audio_ids_do_not_depend_on_the_task(config, document, mode):
    config = config.model_copy(update={"rope": config.rope.model_copy(update={"audio": mode})})
    with_video, alone = (pack([document(1, task)], config).packed.positions[3] for task in ("T2AV", "T2A"))
    assert torch.equal(with_video, alone)


@pytest.mark.parametrize("mode", ["append", "aligned"])
def test_the_video_that_a_sound_would_have(config, document, mode):
    """A sample without any video gets the ids that its duration would give it."""
    config = config.model_copy(update={"rope": config.rope.model_copy(update={"audio": mode})})
    whole = document(1, "T2A")
    bare = type(whole)(
        type(whole.sample)(**{**vars(whole.sample), "video": torch.zeros(0, 2, 3, 6)}),
        whole.task,
        type(whole.conditions)(**{**vars(whole.conditions), "noise_video": torch.zeros(0, 2, 3, 6)}),
    )
    assert torch.equal(pack([whole], config).packed.positions[3], pack([bare], config).packed.positions[3])


def test_heights_and_widths_are_centred():
    ids = video_positions(2, 5, 8, RopeConfig())
    assert ids[:, 1:].mean(0).abs().max() < 1e-6
    assert ids[:, 1].max() == 2 and ids[:, 2].max() == 3.5


def test_scores_depend_on_differences_only():
    config = RopeConfig(axes=(8, 4, 4))
    q, k = torch.randn(1, 1, 16), torch.randn(1, 1, 16)

    def score(shift: float) -> torch.Tensor:
        ids = torch.tensor([[3.0 + shift, 1.0, 2.0], [5.5 + shift, 0.0, 0.5]])
        table = rope_table(ids, 16, config)
        return (rotate(q, table[:1]) * rotate(k, table[1:])).sum()

    assert torch.allclose(score(0), score(100), atol=1e-4)
    assert not torch.allclose(score(0), (q * k).sum(), atol=1e-2)
