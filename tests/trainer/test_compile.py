"""Compiled blocks: one graph for training whatever the micro-batch, and the same numbers."""

import random
from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from tests.trainer.parallel_worker import READINGS
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, global_loss, loss_counts, media_losses
from trainer.packing import pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.tasks import TASKS

GRAPHS = 2
"""The usual micro-batch, and one without documents (a size of 0 is a constant to the compiler)."""


@pytest.fixture
def compiled(config, monkeypatch):
    """compiled(recompute): a model and its compiled twin; graphs are made, but run by PyTorch's own operators."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    counters.clear()

    def make(recompute: str = "none", **changes) -> tuple[MMDiT, MMDiT]:
        models = MMDiT(config.model_copy(update=changes)), MMDiT(config.model_copy(update=changes))
        for model in models:
            init_weights(model, 0)
            torch.manual_seed(0)
            with torch.no_grad():
                for p in model.parameters():
                    p.normal_(std=0.1)
        world = World(0, 1, torch.device("cpu"))
        parallelize(models[1], world, ParallelSettings(compile=True, recompute=recompute))
        return models

    yield make
    torch._dynamo.reset()


def _loss(model: MMDiT, batch) -> torch.Tensor:
    return global_loss(media_losses(model(batch.packed), batch, READINGS), loss_counts(batch), ObjectiveSettings())


@pytest.mark.parametrize(
    ("shared", "steps"),
    [(False, 30), (True, 30), *(pytest.param(shared, 200, marks=pytest.mark.slow) for shared in (False, True))],
)
def test_a_stated_number_of_graphs_for_any_micro_batches(config, document, compiled, shared, steps):
    _, model = compiled(layers=1, shared=shared)
    config = model.config
    random.seed(0)
    seen = []
    for step in range(steps):
        tasks = random.choices(list(TASKS), k=0 if step == 15 else random.randint(1, 5))
        documents = [document(random.randrange(9), task) for task in tasks]
        _loss(model, pack(documents, config)).backward()
        seen.append(counters["stats"]["unique_graphs"])
    assert seen[-1] <= GRAPHS, seen
    assert seen[20] == seen[-1], "no new graphs after warm-up"


@pytest.mark.parametrize(
    ("recompute", "shared"),
    [
        ("none", True),
        ("selective", True),
        pytest.param("none", False, marks=pytest.mark.slow),
        pytest.param("full", False, marks=pytest.mark.slow),
        pytest.param("selective", False, marks=pytest.mark.slow),
    ],
)
def test_compiled_equals_plain(config, document, compiled, recompute, shared):
    plain, model = compiled(recompute, shared=shared)
    batch = pack([document(i, task, 0.2 + 0.1 * i) for i, task in enumerate(TASKS)], config)
    for one in (plain, model):
        _loss(one, batch).backward()
    for (name, p), q in zip(plain.named_parameters(), model.parameters(), strict=True):
        if p.grad is not None:
            assert torch.allclose(p.grad, q.grad, atol=1e-5), name
