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
"""The usual micro-batch, and one without documents (a size of 0 is a constant to the compiler). With float8 one more:
the usual one on either side of `float8_rows`."""


@pytest.fixture
def compiled(config, monkeypatch):
    """compiled(recompute): a model and its compiled twin; graphs are made, but run by PyTorch's own operators."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    counters.clear()

    def make(recompute: str = "none", float8: str = "none", float8_rows: int = 1, **changes) -> tuple[MMDiT, MMDiT]:
        models = MMDiT(config.model_copy(update=changes)), MMDiT(config.model_copy(update=changes))
        for model in models:
            init_weights(model, 0)
            torch.manual_seed(0)
            with torch.no_grad():
                for p in model.parameters():
                    p.normal_(std=0.1)
        world = World(0, 1, torch.device("cpu"))
        settings = ParallelSettings(compile=True, recompute=recompute, float8=float8, float8_rows=float8_rows)
        parallelize(models[1], world, settings, "bf16")
        parallelize(models[0], world, settings.model_copy(update={"compile": False, "recompute": "none"}), "bf16")
        return models

    yield make
    torch._dynamo.reset()


def _loss(model: MMDiT, batch) -> torch.Tensor:
    return global_loss(media_losses(model(batch.packed), batch, READINGS), loss_counts(batch), ObjectiveSettings())


@pytest.mark.parametrize(
    ("shared", "steps"),
    [(False, 30), *(pytest.param(shared, 200, marks=pytest.mark.slow) for shared in (False, True))],
)
def test_a_stated_number_of_graphs_for_any_micro_batches(config, document, compiled, shared, steps):
    _, model = compiled(layers=1, shared=shared)
    config = model.config
    random.seed(0)
    seen = []
    for step in range(steps):
        tasks = random.choices(list(TASKS), k=0 if step == 15 else random.randint(1, 5))
        documents = [document(random.randrange(9), task) for task in tasks]
        loss = _loss(model, pack(documents, config))
        if step < 2:
            loss.backward()  # its graph is made with the forward pass's
        seen.append(counters["stats"]["unique_graphs"])
    assert seen[-1] <= GRAPHS, seen
    assert seen[20] == seen[-1], "no new graphs after warm-up"


@pytest.mark.slow
def test_float8_adds_one_graph(config, document, compiled):
    _, model = compiled(float8="rowwise", float8_rows=250, shared=True, layers=1)
    seen, rows = [], []
    for count in (1, 5, 0, 1, 4, 5, 0):
        batch = pack([document(i, "T2AV") for i in range(count)], model.config, multiple=16)
        rows.append(sum(len(ids) for ids in batch.packed.positions))
        _loss(model, batch).backward()
        seen.append(counters["stats"]["unique_graphs"])
    assert rows[0] < 250 < min(rows[1], rows[4])
    assert seen == [1, 2, 3, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("recompute", "float8"),
    [
        pytest.param("none", "tensorwise", marks=pytest.mark.slow),
        pytest.param("none", "rowwise", marks=pytest.mark.slow),
        pytest.param("selective", "tensorwise", marks=pytest.mark.slow),
        pytest.param("selective", "rowwise", marks=pytest.mark.slow),
    ],
)
def test_compiled_float8_equals_plain(config, document, compiled, recompute, float8):
    """To the bit: scales are powers of two, and aot_eager runs the same operators."""
    plain, model = compiled(recompute, float8, shared=True, layers=1)
    batch = pack([document(i, task, 0.2 + 0.1 * i) for i, task in enumerate(TASKS)], model.config, multiple=16)
    for one in (plain, model):
        with torch.autocast("cpu", torch.bfloat16):
            _loss(one, batch).backward()
    for (name, p), q in zip(plain.named_parameters(), model.named_parameters(), strict=True):
        assert (p.grad is None and q[1].grad is None) or torch.equal(p.grad, q[1].grad), name


@pytest.mark.parametrize(
    ("recompute", "shared"),
    [
        ("attention", True),
        pytest.param("none", True, marks=pytest.mark.slow),
        pytest.param("selective", True, marks=pytest.mark.slow),
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
