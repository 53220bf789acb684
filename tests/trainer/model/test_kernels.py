"""Every attention kernel equals `math`, forward and backward, on packed documents."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from manifests.errors import ConfigError
from trainer.model.kernels import KERNELS, attend, pick

CUDA = torch.cuda.is_available()
LENGTHS = ([70, 1, 33, 0, 5], [128], [16, 16])


def _inputs(lengths, device="cpu", dtype=torch.float32, head_dim=16):
    g = torch.Generator().manual_seed(sum(lengths))
    made = [torch.randn(sum(lengths), 3, head_dim, generator=g).to(device, dtype) for _ in range(4)]
    return [x.requires_grad_() for x in made[:3]], made[3]


def _run(inputs, gradient, lengths, kernel):
    out = attend(*inputs, torch.tensor(lengths), kernel)
    return out, *torch.autograd.grad(out, inputs, gradient)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_the_kernel_of_the_cpu_equals_math(lengths):
    inputs, gradient = _inputs(lengths)
    for ours, reference in zip(
        _run(inputs, gradient, lengths, "cpu"), _run(inputs, gradient, lengths, "math"), strict=True
    ):
        assert torch.allclose(ours, reference, atol=2e-5)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_flex_equals_math_forward(lengths):
    """FlexAttention has no gradients on a CPU."""
    inputs = [x.detach() for x in _inputs(lengths)[0]]
    expected = attend(*inputs, torch.tensor(lengths), "math")
    assert torch.allclose(attend(*inputs, torch.tensor(lengths), "flex"), expected, atol=2e-5)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_math_is_the_softmax_attention_of_each_document(lengths):
    inputs, gradient = _inputs(lengths)
    pieces = zip(*(x.split(lengths) for x in inputs), strict=True)
    heads = [[x.transpose(0, 1) for x in piece] for piece in pieces]
    out = torch.cat([torch.nn.functional.scaled_dot_product_attention(*x).transpose(0, 1) for x in heads])
    expected = (out, *torch.autograd.grad(out, inputs, gradient))
    for ours, reference in zip(_run(inputs, gradient, lengths, "math"), expected, strict=True):
        assert torch.allclose(ours, reference, atol=2e-5)


@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize("lengths", [*LENGTHS, [1000, 200, 317]])
@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [(k, torch.bfloat16) for k in ("cudnn", "flash", "varlen", "efficient", "flex")]
    + [("efficient", torch.float32), ("flex", torch.float32)],
)
def test_kernels_of_the_gpu_equal_math(kernel, dtype, lengths):
    """In bf16 against float32 on the same rounded inputs: an error under 2% of the size of what is compared."""
    inputs, gradient = _inputs(lengths, "cuda", dtype, head_dim=64)
    exact = [x.detach().float().requires_grad_() for x in inputs]
    bound = 2e-2 if dtype == torch.bfloat16 else 3e-3
    for ours, reference in zip(
        _run(inputs, gradient, lengths, kernel), _run(exact, gradient.float(), lengths, "math"), strict=True
    ):
        assert (ours.float() - reference).norm() < bound * reference.norm() + 1e-6


def test_documents_do_not_see_each_other():
    inputs, _ = _inputs([8, 8])
    out = attend(*inputs, torch.tensor([8, 8]), "cpu")
    (gradient,) = torch.autograd.grad(out[:8].sum(), inputs[1])
    assert gradient[:8].abs().min() > 0 and not gradient[8:].any()


@pytest.mark.parametrize("kernel", ["math", "cpu"])
def test_no_documents_at_all(kernel):
    inputs, gradient = _inputs([])
    out, *gradients = _run(inputs, gradient, [0, 0], kernel)
    assert out.shape == (0, 3, 16) and all(g.shape == (0, 3, 16) for g in gradients)


def test_the_operator_is_opaque_and_sound():
    inputs, _ = _inputs([6, 4])
    arguments = (*inputs, torch.tensor([6, 4]), "cpu")
    torch.library.opcheck(torch.ops.klear.attend.default, arguments, test_utils=("test_schema", "test_faketensor"))


def test_flops_are_counted():
    inputs, gradient = _inputs([6, 4])
    with FlopCounterMode(display=False) as counter:
        _run(inputs, gradient, [6, 4], "cpu")
    assert counter.get_total_flops() == 3 * (4 * 36 + 4 * 16) * 3 * 16


def test_the_kernel_that_suits_and_errors_that_name_them():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert pick("auto", cpu, torch.float32) == "cpu"
    assert pick("auto", cuda, torch.bfloat16) == "cudnn"
    assert pick("auto", cuda, torch.float32) == "efficient"
    for name, device, dtype in (
        ("cudnn", cpu, torch.bfloat16),
        ("flex", cpu, None),
        ("varlen", cuda, torch.float32),
        ("cpu", cuda, None),
    ):
        with pytest.raises(ConfigError, match="attention=auto"):
            pick(name, device, dtype)
    with pytest.raises(ConfigError, match="cudnn"):
        pick("flash3", cuda, torch.bfloat16)
    assert set(KERNELS) >= {"math", "cudnn", "varlen", "flex"}
