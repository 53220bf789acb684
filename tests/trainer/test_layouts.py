"""The whole loop, micro-batches and held-out loss included, on copies, shards, shared rows: what one process trains."""

import shutil

import pytest
import torch

from tests.trainer.test_saver import averaged
from trainer.checkpoint import checkpoints, step_of
from trainer.loop import train
from trainer.observe.sinks import last_row, lines_file
from trainer.settings import TrainSettings, as_plain

WAYS = {
    "context": (2, {"context": 2}),
    "copies": (2, {"shard": 1}),
    "copies and context": (4, {"context": 2, "shard": 2, "recompute": "full"}),
}


def _changed(settings: TrainSettings, **parallel) -> TrainSettings:
    plain = dict(as_plain(settings))
    return TrainSettings.model_validate(plain | {"parallel": parallel})


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("context", marks=pytest.mark.slow),
        pytest.param("copies", marks=pytest.mark.slow),
        pytest.param("copies and context", marks=pytest.mark.slow),
    ],
)
def test_a_run_of_any_layout_is_the_run_of_one_process(out, tiny, launch, way):
    processes, parallel = WAYS[way]
    stage = tiny.stages[0].model_copy(update={"tokens": 500})
    batch = tiny.batch.model_copy(update={"micro_tokens": 90})
    settings = tiny.model_copy(update={"batch": batch, "stages": (stage, *tiny.stages[1:]), "keep_last": 5})
    one, row = train(settings, out, 1), last_row(lines_file(out, 1))
    expected = averaged(out, settings)
    shutil.rmtree(out / "checkpoints")
    other, same = launch(_changed(settings, **parallel), processes), last_row(lines_file(out, 1))
    assert torch.allclose(expected, averaged(out, settings), atol=2e-5)
    for medium in ("video", "audio"):
        assert other["heldout"][-1][medium] == pytest.approx(one["heldout"][-1][medium], rel=1e-4)
    assert same["part"] == pytest.approx(row["part"], rel=1e-3, abs=1e-6)
    for folder in checkpoints(out, 1):
        if step_of(folder) > 4:
            shutil.rmtree(folder)
    train(settings, out, 1)
    assert torch.allclose(expected, averaged(out, settings), atol=2e-5), "its checkpoint, on one process"
