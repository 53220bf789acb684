"""The averaged weights: the plain recursion, stopped by a skip, restarted on demand."""

from copy import deepcopy

import torch

from trainer.ema import Ema


def _moved(model, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=g))


def test_it_is_a_plain_loop(model):
    ema = Ema(model, 0.8)
    expected = {name: p.detach().double() for name, p in model.named_parameters()}
    for n in range(20):
        _moved(model, n)
        ema.update(model, torch.zeros(()))
        decay = min(0.8, (1 + n) / (4 + n))
        expected = {name: decay * expected[name] + (1 - decay) * p.double() for name, p in model.named_parameters()}
    assert ema.updates == 20
    for name, value in expected.items():
        assert torch.allclose(ema.weights[name].double(), value, rtol=1e-5, atol=1e-5), name


def test_a_skipped_step_neither_moves_nor_counts(model):
    ema = Ema(model, 0.8)
    _moved(model, 0)
    ema.update(model, torch.zeros(()))
    before = deepcopy(ema.weights)
    _moved(model, 1)
    ema.update(model, torch.ones(()))
    assert ema.updates == 1 and all(torch.equal(before[name], value) for name, value in ema.weights.items())


def test_weights_trade_places_and_come_back(model):
    ema = Ema(model, 0.8)
    old = deepcopy(ema.weights)
    _moved(model, 0)
    new = {name: p.detach().clone() for name, p in model.named_parameters()}
    with ema.in_place_of(model):
        assert all(torch.equal(p, old[name]) for name, p in model.named_parameters())
    assert all(torch.equal(p, new[name]) for name, p in model.named_parameters())
    assert all(torch.equal(value, old[name]) for name, value in ema.weights.items())


def test_a_restart_forgets(model):
    ema = Ema(model, 0.8)
    _moved(model, 0)
    ema.update(model, torch.zeros(()))
    _moved(model, 1)
    ema.restart(model)
    assert ema.updates == 0 and all(torch.equal(p, ema.weights[name]) for name, p in model.named_parameters())
