"""The breakdown: sums are those of every document alone, shares add up, bad rows stay where they are, no step waits."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.data.latents import LatentSet, find_latents
from trainer.feed import Feed
from trainer.objective import ObjectiveSettings, Reading, global_loss, loss_counts, media_losses
from trainer.observe.breakdown import Breakdown, bucket_names
from trainer.observe.shares import ParameterShares, place_of
from trainer.packing import pack
from trainer.parallel import World
from trainer.readings import readings_of
from trainer.run import start_run
from trainer.step import train_step
from trainer.tasks import TASKS

ALONE = World(0, 1, torch.device("cpu"))
READINGS = {m: Reading("x", True, torch.ones(c), torch.ones(c)) for m, c in (("video", 6), ("audio", 5))}


def backward(model, batches, breakdown=None):
    """Outputs (with their gradients) and losses of each micro-batch, after backward of the step's loss."""
    counts = sum(loss_counts(batch) for batch in batches)
    seen = []
    for batch in batches:
        output = model(batch.packed)
        losses = media_losses(output, batch, READINGS)
        for medium in output:
            medium.retain_grad()
        if breakdown is not None:
            breakdown.watch(output, losses, batch)
        global_loss(losses, counts, ObjectiveSettings(audio_weight=0.2)).backward()
        seen.append((batch, output, losses))
    return seen


def test_marginals_are_the_sums_over_documents(config, model, document):
    documents = [document(i, task, 0.1 + 0.2 * i) for i, task in enumerate(TASKS)]
    breakdown = Breakdown(["music", "sound"], model, ALONE)
    seen = backward(model, [pack(documents[:2], config), pack(documents[2:], config)], breakdown)
    found = breakdown.collect()
    whole = sum(x.grad.square().sum().item() for _, output, _ in seen for x in output)
    assert list(found["class"]) == ["sound"] and found["bad"] == 0
    for medium in ("video", "audio"):
        loss = rows = 0.0
        for batch, output, losses in seen:
            for i, held in enumerate(batch.documents):
                targets = getattr(batch, medium)
                mine = (targets.document == i) & (targets.carries_loss > 0)
                if not mine.any():
                    continue
                sigma = bucket_names()[int(held.conditions.sigma_video * 8)]
                for axis, name in (
                    ("task", held.task.name),
                    ("sigma", sigma),
                    ("capability", f"sound/{held.task.name}"),
                ):
                    cell = found[axis][name][medium]
                    assert cell["rows"] == mine.sum()
                    assert cell["loss"] == pytest.approx(getattr(losses, medium)[mine].mean().item(), rel=1e-5)
                    pull = getattr(output, medium).grad[mine].square().sum().item()
                    assert cell["share"] == pytest.approx(pull / whole, rel=1e-4)
                loss += getattr(losses, medium)[mine].sum().item()
                rows += mine.sum().item()
        assert found["class"]["sound"][medium]["loss"] == pytest.approx(loss / rows, rel=1e-5)
    for axis in ("task", "class", "sigma", "capability"):
        assert sum(cell["share"] for media in found[axis].values() for cell in media.values()) == pytest.approx(1)
    assert breakdown.collect()["task"] == {}


def test_a_document_that_is_no_number_leaves_the_others_alone(config, model, document):
    documents = [document(0, "T2A"), document(1, "T2V")]
    breakdown = Breakdown(["sound"], model, ALONE)
    backward(model, [pack(documents, config)], breakdown)
    healthy = breakdown.collect()
    documents[0].sample.audio[3, 2] = float("nan")
    backward(model, [pack(documents, config)], breakdown)
    found = breakdown.collect()
    # The attention of a document spreads it to all rows of that document, the loss's count to none of the other.
    assert found["bad"] == len(documents[0].sample.audio)
    assert list(found["task"]) == ["T2V"]
    assert found["task"]["T2V"]["video"]["loss"] == pytest.approx(healthy["task"]["T2V"]["video"]["loss"], rel=1e-6)


def test_parameter_shares_are_those_of_the_gradients(config, model, batch):
    shares = ParameterShares(model, ALONE)
    backward(model, [batch])
    for _ in range(2):
        shares.note()
    found = shares.collect()
    squares = {n: p.grad.square().sum().item() for n, p in model.named_parameters() if p.grad is not None}
    for axis, index in (("stream", 0), ("part", 1)):
        assert sum(found[axis].values()) == pytest.approx(1)
        for name, share in found[axis].items():
            mine = sum(square for parameter, square in squares.items() if place_of(parameter)[index] == name)
            assert share == pytest.approx(mine / sum(squares.values()), rel=1e-4), name
    assert all(share > 0 for axis in found.values() for share in axis.values())
    assert sum(shares.collect()["part"].values()) == 0


def test_a_gradient_that_is_no_number_is_left_out_of_the_shares(model, batch):
    shares = ParameterShares(model, ALONE)
    backward(model, [batch])
    shares.note()
    next(model.parameters()).grad[0] = float("inf")
    shares.note()
    assert sum(shares.collect()["stream"].values()) == pytest.approx(1)


def test_a_micro_batch_without_documents_adds_nothing(config, model):
    breakdown = Breakdown(["sound"], model, ALONE)
    backward(model, [pack([], config)], breakdown)
    assert breakdown.collect()["task"] == {}


class Waits(TorchDispatchMode):
    """Notes every operation that would make the host wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name() in {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}:
            self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


def test_the_breakdown_waits_for_nothing_and_changes_nothing(out, tiny):
    """The step's own waits on a CPU are bounds checks of one_hot, which a GPU does not make."""
    latents, values, waited = LatentSet(find_latents(out)), [], []
    for watched in (False, True):
        run = start_run(tiny, out, 1, latents, ALONE)
        breakdown = Breakdown(["music", "sound"], run.model, ALONE) if watched else None
        with Feed(run, tiny) as feed:
            batches = feed.next().batches
        with Waits() as waits:
            torch.ones(1).item()
            values.append(
                train_step(run, tiny, batches, readings_of(latents, tiny.objective, ALONE.device), 1e-3, breakdown)
            )
        waited.append(waits.seen)
    assert waited[0] == waited[1] and len(waited[0]) >= 1
    assert torch.equal(values[0], values[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_breakdown_waits_for_no_gpu(config, model, batch):
    device = torch.device("cuda", 0)
    model, batch = model.to(device), batch.to(device)
    breakdown = Breakdown(["sound"], model, World(0, 1, device))
    losses = {
        m: r.__class__(r.prediction, r.precondition, r.weights.to(device), r.variance.to(device))
        for m, r in READINGS.items()
    }
    torch.cuda.set_sync_debug_mode("error")
    try:
        output = model(batch.packed)
        found = media_losses(output, batch, losses)
        breakdown.watch(output, found, batch)
        global_loss(found, loss_counts(batch), ObjectiveSettings()).backward()
        breakdown.parameters.note()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert set(breakdown.collect()["task"]) == set(TASKS)
