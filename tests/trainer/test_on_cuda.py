"""What a CPU cannot show of the fast paths: real float8 products, compiled blocks, our AdamW as machine code. On a cuda
device only."""

import random
from copy import deepcopy

import pytest
import torch
from torch._dynamo.utils import counters

from trainer.float8 import Float8Linear
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.optim import Optimizer, OptimSettings
from trainer.packing import pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.tasks import TASKS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

ON = torch.device("cuda")


@pytest.mark.parametrize("kind", ["tensorwise", "rowwise"])
@pytest.mark.parametrize("compiled", [False, True])
def test_float8_products(kind, compiled):
    """Of a layout that cuBLAS takes, within float8's rounding of the exact ones, forward and backward."""
    torch.manual_seed(0)
    plain = torch.nn.Linear(256, 512, device=ON, dtype=torch.bfloat16)
    float8 = Float8Linear.of(deepcopy(plain), kind, 1)
    run = torch.compile(float8, dynamic=True) if compiled else float8
    x, g = (torch.randn(1024, n, device=ON, dtype=torch.bfloat16) for n in (256, 512))
    found = []
    for module, call in ((plain, plain), (float8, run)):
        given = x.clone().requires_grad_()
        out = call(given)
        out.backward(g)
        found.append((out.detach(), given.grad, module.weight.grad, module.bias.grad))
    for exact, rounded in zip(*found, strict=True):
        far = (exact.float() - rounded.float()).norm() / exact.float().norm()
        assert far < 0.08, far


@pytest.mark.parametrize("settings", [{}, {"recompute": "attention"}, {"float8": "rowwise", "float8_rows": 1}], ids=str)
def test_compiled_blocks_equal_plain_ones_in_few_graphs(config, document, settings):
    """Widths that float8 takes, bf16, forty mixed micro-batches; a graph more or less never after the first twenty."""
    config = config.model_copy(update={"shared": True, "ffn": 64})
    model = MMDiT(config).to(ON, torch.bfloat16)
    init_weights(model, 0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    plain, world = deepcopy(model), World(0, 1, ON)
    parallelize(plain, world, ParallelSettings(**settings), "bf16")
    torch._dynamo.reset()
    counters.clear()
    parallelize(model, world, ParallelSettings(compile=True, **settings), "bf16")
    random.seed(0)
    seen = []
    for _ in range(40):
        documents = [
            document(random.randrange(9), task) for task in random.choices(list(TASKS), k=random.randint(1, 5))
        ]
        batch = pack(documents, config, multiple=16).to(ON)
        outputs = []
        for one in (plain, model):
            output = one(batch.packed)
            (output.video.square().mean() + output.audio.square().mean()).backward()
            outputs.append(torch.cat([output.video.flatten(), output.audio.flatten()]))
        assert (outputs[0] - outputs[1]).norm() < 0.1 * outputs[0].norm()
        seen.append(counters["stats"]["unique_graphs"])
    assert seen[20] == seen[-1] <= 2


@pytest.mark.parametrize("state_dtype", ["fp32", "bf16"])
def test_our_adamw_is_torchs(state_dtype):
    torch.manual_seed(0)
    model = torch.nn.Linear(512, 1024, device=ON)
    other = deepcopy(model)
    ours = Optimizer(model, OptimSettings(state_dtype=state_dtype, kernel="triton"))
    theirs = Optimizer(other, OptimSettings(state_dtype=state_dtype))
    for skip in (0.0, 1.0, 0.0):
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        for optimizer in (ours, theirs):
            optimizer.step(0.01, torch.full((), skip, device=ON))
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-5 if state_dtype == "fp32" else 3e-4)
