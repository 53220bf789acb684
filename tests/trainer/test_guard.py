"""Steps that would harm: skipped on every process, named, and left behind."""

import json

import pytest
import torch
import torch.distributed.checkpoint as dcp

from trainer.checkpoint import latest, read_progress, stage_folder
from trainer.guard import Guard, GuardSettings, document_shares
from trainer.loop import train
from trainer.model.mmdit import MMDiT
from trainer.objective import MediaLosses, loss_counts
from trainer.rollback import DivergedError

BAD = f"{3:032x}"


def _judge(guard: Guard, norm: float, loss: float = 1.0) -> int:
    value = torch.tensor(norm)
    return int(guard.judge(value, torch.tensor([loss, 1.0]), guard.flags(value)))


def test_what_is_not_finite_or_a_spike_is_skipped_and_counted():
    guard = Guard(GuardSettings(spike=5.0, warmup=3, span=10), torch.device("cpu"))
    assert [_judge(guard, n) for n in (1.0, 100.0, 1.0)] == [0, 0, 0], "no spike before it knows the norm"
    assert guard.state["norm"] == pytest.approx(34.0)
    assert _judge(guard, 200.0) == 2
    assert _judge(guard, float("inf")) == 1
    assert _judge(guard, float("nan")) == 1
    assert _judge(guard, 1.0, loss=float("nan")) == 1
    assert guard.state["norm"] == pytest.approx(34.0), "skipped steps do not move the mean"
    assert _judge(guard, 34.0) == 0
    assert (guard.state["taken"], guard.state["skipped"]) == (4, 4)


def test_without_a_factor_only_what_is_not_finite_is_skipped():
    guard = Guard(GuardSettings(spike=None, warmup=1), torch.device("cpu"))
    assert [_judge(guard, n) for n in (1.0, 1e9, float("inf"))] == [0, 0, 1]


def test_documents_share_the_loss_out(batch):
    g = torch.Generator().manual_seed(0)
    losses = MediaLosses(*(torch.rand(len(t.sigma), generator=g) * t.carries_loss for t in (batch.video, batch.audio)))
    counts = loss_counts(batch)
    shares = document_shares(losses, batch, counts)
    assert shares.shape == (5, 2)
    assert torch.allclose(shares.sum(0), torch.stack([rows.sum() for rows in losses]) / counts)
    tasks = [d.task for d in batch.documents]
    assert [bool(s > 0) for s in shares[:, 0]] == [task.has("video") for task in tasks]
    assert [bool(s > 0) for s in shares[:, 1]] == [task.has("audio") for task in tasks]


def _weights(folder, settings, part: str = "model") -> dict[str, torch.Tensor]:
    state = {part: {name: p.detach() for name, p in MMDiT(settings.model).named_parameters()}}
    dcp.load(state, checkpoint_id=folder, no_dist=True)
    return state[part]


def test_a_poisoned_sample_on_one_of_two_processes(out, tiny, poison, launch):
    """No hang; the step is skipped by both, the sample named; weights and average stay bit for bit."""
    poison(BAD)
    settings = tiny.model_copy(update={"save_every": 1, "keep_last": 20, "log_every": 3})
    summary = launch(settings, 2)
    rows = [json.loads(line) for line in (out / "report" / "skipped-stage-1.jsonl").read_text().splitlines()]
    steps = sorted({row["step"] for row in rows})
    assert 0 < len(steps) == summary["skipped"] < 6
    assert {row["key"] for row in rows} == {BAD} and {row["reason"] for row in rows} == {"not finite"}
    folders = {n: stage_folder(out, 1) / f"step-{n:08d}" for n in range(1, 7)}
    for part in ("model", "ema"):
        for n in range(2, 7):
            before, after = _weights(folders[n - 1], settings, part), _weights(folders[n], settings, part)
            same = [torch.equal(before[name], after[name]) for name in before]
            assert all(same) == (n in steps), (part, n)
    assert all(w.isfinite().all() for w in _weights(folders[6], settings).values())


def test_training_goes_back_and_on_without_the_sample(out, tiny, poison):
    poison(BAD)
    guard = GuardSettings(patience=1, rollbacks=20)
    settings = tiny.model_copy(update={"guard": guard, "log_every": 1})
    summary = train(settings, out, 1)
    progress = read_progress(latest(out, 1))
    assert summary["rollbacks"] == progress.rollbacks > 0 and progress.step == 6
    rows = [json.loads(line) for line in (out / "report" / "skipped-stage-1.jsonl").read_text().splitlines()]
    assert {row["key"] for row in rows} == {BAD}
    assert progress.left_out == sorted({row["position"] for row in rows})
    before_the_first_save = {row["step"] for row in rows if row["step"] <= 2}
    assert summary["skipped"] == len(before_the_first_save) < len({row["step"] for row in rows})
    again = train(settings, out, 1)
    assert again["steps_now"] == 0


def test_going_back_has_an_end_that_says_what_to_do(out, tiny, poison):
    for number in range(8):
        poison(f"{number:032x}")
    settings = tiny.model_copy(update={"guard": GuardSettings(patience=2, rollbacks=1), "log_every": 2})
    with pytest.raises(DivergedError, match="skipped-stage-1.jsonl"):
        train(settings, out, 1)
