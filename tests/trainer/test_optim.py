"""The optimizer: AdamW as torch's own, Muon's matrices orthogonal, and a skipped step moves not one bit."""

import pytest
import torch
from pydantic import ValidationError

from manifests.errors import ConfigError
from trainer.gradients import clipping, global_norm, gradients
from trainer.muon import RMS, newton_schulz
from trainer.optim import Optimizer, OptimSettings, undecayed


def _give_gradients(model, seed: int, factor: float = 1.0) -> None:
    g = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = factor * torch.randn(parameter.shape, generator=g)


def test_adamw_is_torchs(model):
    from copy import deepcopy

    settings = OptimSettings(weight_decay=0.1)
    other = deepcopy(model)
    bare = undecayed(other)
    named = dict(other.named_parameters())
    groups = [
        {"params": [p for n, p in named.items() if n not in bare], "weight_decay": 0.1},
        {"params": [p for n, p in named.items() if n in bare], "weight_decay": 0.0},
    ]
    theirs, ours = torch.optim.AdamW(groups, lr=0.01, betas=settings.betas, fused=True), Optimizer(model, settings)
    for seed in range(3):
        _give_gradients(model, seed)
        _give_gradients(other, seed)
        ours.step(0.01, torch.zeros(()))
        theirs.step()
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("state_dtype", ["fp32", "bf16"])
def test_our_kernel_is_torchs(monkeypatch, state_dtype):
    """Odd sizes, one tensor small enough for torch, a skipped step between two others."""
    from copy import deepcopy

    monkeypatch.setattr("trainer.optim.LARGE", 100)
    model = torch.nn.Sequential(torch.nn.Linear(40, 67), torch.nn.Linear(67, 5))
    other = deepcopy(model)
    ours = Optimizer(model, OptimSettings(state_dtype=state_dtype, weight_decay=0.1, kernel="triton"))
    theirs = Optimizer(other, OptimSettings(state_dtype=state_dtype, weight_decay=0.1))
    for seed, skip in enumerate((0.0, 0.0, 1.0, 0.0)):
        for one, optimizer in ((model, ours), (other, theirs)):
            _give_gradients(one, seed, float("nan") if skip else 1.0)
            optimizer.step(0.01, torch.tensor(skip))
    for name, p in model.named_parameters():
        assert torch.allclose(p, dict(other.named_parameters())[name], atol=2e-6 if state_dtype == "fp32" else 3e-4)
        for key, value in ours.state[name].items():
            other_value, size = theirs.state[name][key].float(), value.float().abs().max()
            assert (value.float() - other_value).abs().max() < (1e-6 if state_dtype == "fp32" else 1e-2) * size


def test_our_kernel_needs_a_gpu(monkeypatch, model):
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(ConfigError, match=r"set optim\.kernel=torch"):
        Optimizer(model, OptimSettings(kernel="triton"))


def test_what_is_no_matrix_has_no_decay(model):
    bare, names = undecayed(model), {name for name, _ in model.named_parameters()}
    assert bare < names
    for part in ("norm_qk", "bias", "kinds.weight", "bytes.embed"):
        assert {name for name in names if part in name} <= bare
    assert "blocks.0.streams.video.qkv.weight" not in bare


@pytest.mark.parametrize("sets", [{}, {"kind": "muon"}, {"state_dtype": "bf16"}, {"kernel": "triton"}], ids=str)
def test_a_skipped_step_changes_nothing(monkeypatch, model, sets):
    monkeypatch.setattr("trainer.optim.LARGE", 4000)
    optimizer = Optimizer(model, OptimSettings(**sets))
    _give_gradients(model, 0)
    optimizer.step(0.01, torch.zeros(()))
    tensors = [*model.parameters(), *(t for state in optimizer.state.values() for t in state.values())]
    before = [t.detach().clone() for t in tensors]
    _give_gradients(model, 1, float("nan"))
    optimizer.step(0.01, torch.ones(()), torch.tensor(torch.nan))
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))
    assert optimizer.updates == 1
    _give_gradients(model, 1)
    optimizer.step(0.01, torch.zeros(()))
    changed = [not torch.equal(a, b) for a, b in zip(before, tensors, strict=True)]
    assert all(changed)


def test_moments_in_bf16_follow_those_in_fp32(model):
    from copy import deepcopy

    other = deepcopy(model)
    start = [p.detach().clone() for p in model.parameters()]
    narrow, wide = Optimizer(model, OptimSettings(state_dtype="bf16")), Optimizer(other, OptimSettings())
    for seed in range(20):
        for m, optimizer in ((model, narrow), (other, wide)):
            _give_gradients(m, seed)
            optimizer.step(0.01, torch.zeros(()))
    moved = torch.cat([(p - s).detach().flatten() for p, s in zip(other.parameters(), start, strict=True)])
    apart = torch.cat([(p - q).detach().flatten() for p, q in zip(model.parameters(), other.parameters(), strict=True)])
    assert 0 < apart.norm() < 0.02 * moved.norm()
    assert all(t.dtype == torch.bfloat16 for state in narrow.state.values() for t in state.values())


def test_moments_in_bf16_refuse_a_step_they_would_round_away():
    with pytest.raises(ValidationError, match="0.98"):
        OptimSettings(state_dtype="bf16", betas=(0.9, 0.999))


def test_newton_schulz_levels_singular_values_of_each_map():
    g = torch.Generator().manual_seed(0)
    for rows, columns, parts in ((48, 32, 1), (32, 48, 1), (96, 32, 3)):
        matrix = torch.randn(rows, columns, generator=g)
        maps = newton_schulz(matrix, parts).unflatten(0, (parts, -1))
        values = torch.linalg.svdvals(maps) / (RMS * max(maps.shape[1:]) ** 0.5)
        assert values.min() > 0.5 and values.max() < 1.3
        if parts == 3:
            assert torch.allclose(maps[1], newton_schulz(matrix[32:64], 1), atol=1e-5)


def test_muon_moves_the_matrices_inside_the_blocks_alone(model):
    optimizer = Optimizer(model, OptimSettings(kind="muon"))
    own = {name for name, state in optimizer.state.items() if "momentum" in state}
    assert len(own) == model.config.layers * 4 * 4
    assert all(name.startswith("blocks.") and "modulation" not in name for name in own)


def test_norm_and_clip_are_torchs(model):
    _give_gradients(model, 3)
    grads = gradients(model.parameters())
    kept = [g.clone() for g in grads]
    norm = global_norm(grads)
    theirs = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    for clipped, grad in zip(grads, kept, strict=True):
        assert torch.allclose(grad * clipping(norm, 0.5), clipped, rtol=1e-6)
    assert torch.allclose(theirs, norm) and clipping(norm, 1e9) == 1
    assert torch.allclose(norm, torch.cat([g.flatten() for g in kept]).norm())


@pytest.mark.parametrize("sets", [{}, {"kind": "muon"}, {"state_dtype": "bf16"}, {"kernel": "triton"}], ids=str)
def test_gradients_are_clipped_as_they_are_read(monkeypatch, sets):
    """Odd sizes; one of the tensors is small enough for torch."""
    from copy import deepcopy

    monkeypatch.setattr("trainer.optim.LARGE", 100)
    if sets.get("kind") == "muon":
        monkeypatch.setattr("trainer.optim.muon_parts", lambda names: {"0.weight": 1})
    model = torch.nn.Sequential(torch.nn.Linear(40, 67), torch.nn.Linear(67, 5))
    other = deepcopy(model)
    ours, theirs = (Optimizer(m, OptimSettings(**sets)) for m in (model, other))
    before = [p.detach().clone() for p in model.parameters()]
    for seed in range(2):
        _give_gradients(model, seed)
        _give_gradients(other, seed, 0.3)
        ours.step(0.01, torch.zeros(()), torch.tensor(0.3))
        theirs.step(0.01, torch.zeros(()))
    states = [[t.float() for of in one.state.values() for t in of.values()] for one in (ours, theirs)]
    for a, b in zip((*model.parameters(), *states[0]), (*other.parameters(), *states[1]), strict=True):
        assert torch.allclose(a, b, rtol=1e-2 if "state_dtype" in sets else 1e-5, atol=1e-7)
    assert all(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
