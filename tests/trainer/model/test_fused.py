"""Blocks whose elementwise work is in Triton: the plain block's numbers. On a CPU Triton's interpreter runs them."""

import pytest
import torch

from tests.trainer.model.twins import DEVICE, assert_equal, mixed, outcome, twins
from trainer.model.chunks import chunks_of
from trainer.model.fused.heads import Source, to_heads
from trainer.packing import pack
from trainer.tasks import TASKS

UNEVEN = {"heads": 1, "width": 24, "modulation_rank": 3}


@pytest.mark.parametrize("changes", [{}, {"shared": True}, pytest.param(UNEVEN, marks=pytest.mark.slow)], ids=str)
def test_fused_equals_plain(config, changes):
    config = config.model_copy(update={"layers": 1, **changes})
    assert_equal(twins(config), mixed(config), 2e-5)


def test_queries_keys_and_values_are_three_tensors():
    """So `trainer/lengths.py` lays them out when it has plans made."""
    source = Source(
        torch.randn(2, 24, device=DEVICE), None, None, torch.ones(2, 4, device=DEVICE),
        torch.randn(2, 2, 4, device=DEVICE), None, chunks_of(torch.zeros(2, dtype=torch.int64)).to(DEVICE),
    )  # fmt: skip
    assert [x.stride() for x in to_heads([source], 2, 2)] == [(8, 4, 1)] * 3


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_fused_equals_plain_within_rounding_in_bf16(config, shared):
    config = config.model_copy(update={"layers": 1, "shared": shared})
    assert_equal(twins(config, torch.bfloat16), mixed(config), 6e-2)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "selective", "attention", "full"])
def test_fused_equals_plain_for_all_tasks(config, document, recompute):
    batch = pack([document(i, task, 0.1 + 0.2 * i) for i, task in enumerate(TASKS)], config)
    assert_equal(twins(config, recompute=recompute), batch, 2e-5)


def test_fused_without_documents(config):
    """A rank may get none: pad rows alone run through every kernel and leave zero gradients."""
    _, fused = twins(config.model_copy(update={"layers": 1}))
    _, gradients = outcome(fused, pack([], config, pad_rows=2).to(DEVICE))
    assert all(not g.any() for g in gradients.values()) and gradients
