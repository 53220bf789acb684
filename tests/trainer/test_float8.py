"""Float8 linears: rounding within its bound, nothing hidden, the plain product below the threshold, the same names."""

import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.float8 import CPU, VARIANTS, ended, furthest, train
from manifests.errors import ConfigError
from tests.trainer.parallel_worker import READINGS
from trainer.float8 import E4M3, E5M2, Float8Linear, multiply, scaled
from trainer.lora import LoraSettings, add_adapters
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, global_loss, loss_counts, media_losses
from trainer.packing import pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.recompute import recomputing
from trainer.tasks import TASKS

KINDS = ("tensorwise", "rowwise")
HALF_STEP = {E4M3: 2.0**-4, E5M2: 2.0**-3}
"""Largest relative error of rounding to 3 and to 2 bits of mantissa: half of the last."""
BF16 = 2.0**-8


def linear(kind: str, least: int = 1, bias: bool = True) -> tuple[nn.Linear, Float8Linear]:
    torch.manual_seed(0)
    plain = nn.Linear(32, 48, bias=bias)
    return plain, Float8Linear.of(plain, kind, least)


def gradients(product: Callable, x: torch.Tensor, g: torch.Tensor) -> list[torch.Tensor]:
    """The result, and the gradients of x and of the weights."""
    x = x.clone().requires_grad_()
    made = product(x)
    weight = product.weight
    weight.grad = None
    made.backward(g.to(made.dtype))
    return [made.detach(), x.grad, weight.grad]


def products(x: torch.Tensor, w: torch.Tensor, g: torch.Tensor) -> list[torch.Tensor]:
    """x w^T and its gradients times g, without a bias."""
    return [x @ w.T, g @ w, g.T @ x]


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_within_rounding_of_the_float32_products(kind):
    """Every term of a sum is off by both factors' rounding; values below the smallest normal one by half of its last
    bit. Values here span a factor of 1,000, so that some are among those."""
    plain, float8 = linear(kind, bias=False)
    x, g = (torch.randn(64, c) * 10 ** torch.empty(64, c).uniform_(-3, 0) for c in (32, 48))
    weight = plain.weight.detach()
    dtype = E5M2 if kind == "tensorwise" else E4M3
    sizes = products(x.abs(), weight.abs(), g.abs())
    tiny = {d: 2 * torch.finfo(d).smallest_normal * HALF_STEP[d] / torch.finfo(d).max * 2 for d in (E4M3, E5M2)}
    flat = products(*(torch.full_like(t, t.abs().max()) for t in (x, weight, g)))
    for i, (found, exact) in enumerate(zip(gradients(float8, x, g), products(x, weight, g), strict=True)):
        other = E4M3 if i == 0 else dtype
        relative = (1 + HALF_STEP[E4M3]) * (1 + HALF_STEP[other]) * (1 + BF16) - 1
        bound = relative * sizes[i] + (tiny[E4M3] + tiny[other]) * flat[i]
        assert ((found - exact).abs() <= bound).all(), i
        assert (found - exact).norm() > 1e-3 * exact.norm(), "or nothing was rounded"


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_the_products_of_what_was_cast(kind):
    """By hand: largest value to a power of two, one rounding, the product in float32."""

    def cast(t: torch.Tensor, dtype: torch.dtype, axis: int) -> torch.Tensor:
        largest = t.abs().amax(axis, keepdim=True) if kind == "rowwise" else t.abs().max()
        scale = torch.exp2(torch.floor(torch.log2(torch.finfo(dtype).max / largest)))
        return (t * scale).to(dtype).float() / scale

    plain, float8 = linear(kind, bias=False)
    x, g, w = torch.randn(64, 32), torch.randn(64, 48).bfloat16().float(), plain.weight.detach()
    dtype = E5M2 if kind == "tensorwise" else E4M3
    expected = [
        cast(x, E4M3, 1) @ cast(w, E4M3, 1).T,
        cast(g, dtype, 1) @ cast(w, E4M3, 0),
        cast(g, dtype, 0).T @ cast(x, E4M3, 0),
    ]
    for found, exact in zip(gradients(float8, x, g), expected, strict=True):
        assert torch.allclose(found, exact, rtol=BF16, atol=1e-5 * exact.abs().max())


def test_scales_change_no_bit_of_a_mantissa():
    x = torch.randn(16, 16).to(E4M3).float() * 2.0**-20
    again = scaled(x, E4M3, (0, 1))
    assert torch.equal(again.values.float() * again.unit, x)
    assert again.values.float().abs().max() > torch.finfo(E4M3).max / 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.0, 2.0**-120])
def test_zeros_stay_zeros(kind, size):
    _, float8 = linear(kind, bias=False)
    x, g = torch.full((16, 32), size), torch.full((16, 48), size)
    assert all(t.abs().max() <= 1e-30 for t in gradients(float8, x, g))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_visible(kind, bad):
    """In the result, and from a gradient in both gradients."""
    _, float8 = linear(kind)
    x, g = torch.randn(16, 32), torch.randn(16, 48)
    x[3, 5] = bad
    made, _, to_weight = gradients(float8, x, g)
    assert made[3].isnan().all() and to_weight[:, 5].isnan().all()
    x[3, 5] = 0
    g[2, 7] = bad
    _, to_x, to_weight = gradients(float8, x, g)
    assert to_x[2].isnan().all() and to_weight[7].isnan().all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_dtype_is_that_of_autocast_or_of_the_input(kind):
    plain, float8 = linear(kind)
    x = torch.randn(16, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert float8(x).dtype == plain(x).dtype == torch.bfloat16
    assert float8(x).dtype == torch.float32
    made, to_x, to_weight = gradients(float8.bfloat16(), x.bfloat16(), torch.randn(16, 48))
    assert made.dtype == to_x.dtype == to_weight.dtype == torch.bfloat16


def test_fewer_rows_take_the_plain_product():
    plain, float8 = linear("rowwise", least=17)
    assert torch.equal(float8(few := torch.randn(16, 32)), plain(few))
    assert not torch.equal(float8(many := torch.randn(17, 32)), plain(many))


def test_the_backward_pass_keeps_no_float8_copy_of_the_weights():
    """FSDP would free the weights and that copy would stay; without their gradient nothing of x stays either."""
    for kind in KINDS:
        _, float8 = linear(kind)
        for trains in (True, False):
            kept: list[torch.Tensor] = []
            float8.weight.requires_grad_(trains)
            with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t) or t, lambda t: t):
                float8(torch.randn(64, 32, requires_grad=True))
            shapes = [t.shape for t in kept if t.dtype in (E4M3, E5M2)]
            assert shapes == ([(64, 32)] if trains else [])
            assert any(t is float8.weight for t in kept)


def test_layouts_are_what_cublas_takes(monkeypatch):
    """Rows of the first factor and columns of the second in one piece, scales too."""
    seen = []
    real = torch._scaled_mm
    monkeypatch.setattr(torch, "_scaled_mm", lambda a, b, **more: seen.append((a, b, more)) or real(a, b, **more))
    for kind in KINDS:
        gradients(linear(kind)[1], torch.randn(64, 32), torch.randn(64, 48))
    assert len(seen) == 6
    for a, b, more in seen:
        assert a.stride() == (a.shape[1], 1) and b.stride() == (1, b.shape[0])
        assert a.shape[1] % 16 == 0 and b.shape[1] % 16 == 0
        assert {a.dtype, b.dtype} != {E5M2} and more["out_dtype"] == torch.bfloat16
        sizes = ([1, 1], [1, 1]) if more["scale_a"].numel() == 1 else ([len(a), 1], [1, b.shape[1]])
        assert ([*more["scale_a"].shape], [*more["scale_b"].shape]) == sizes
        assert more["scale_a"].stride(1) == more["scale_b"].stride(1) == 1
    assert [more["use_fast_accum"] for _, _, more in seen] == [True, False, False] * 2


def test_multiply_accepts_factors_turned_about():
    a, b = scaled(torch.randn(16, 32), E4M3, (1,)), scaled(torch.randn(32, 48), E4M3, (0,))
    whole = (a.values.float() * a.unit) @ (b.values.float() * b.unit)
    turned = multiply(b.turned, a.turned).T
    assert torch.allclose(multiply(a, b).float(), whole, rtol=BF16, atol=1e-4)
    assert torch.equal(turned, multiply(a, b))


def on_cpu(model: MMDiT, kind: str = "rowwise", **more) -> MMDiT:
    """The model with float8 products whatever the rows."""
    settings = ParallelSettings(**({"float8": kind, "float8_rows": 1} | more))
    return parallelize(model, World(0, 1, CPU), settings, "bf16")


def loss_of(model: MMDiT, batch) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch.packed)
    return global_loss(media_losses(output, batch, READINGS), loss_counts(batch), ObjectiveSettings())


def random_model(config, lora: LoraSettings | None = None) -> MMDiT:
    model = MMDiT(config)
    add_adapters(model, lora)
    init_weights(model, 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.1)
    return model


@pytest.mark.parametrize("shared", [False, True])
def test_the_videos_linears_are_replaced_and_nothing_else(config, shared):
    config = config.model_copy(update={"shared": shared})
    plain, model = random_model(config), on_cpu(random_model(config))
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in plain.named_parameters()]
    found = {n for n, m in model.named_modules() if isinstance(m, Float8Linear)}
    stream = "shared" if shared else "video"
    names = ("qkv", "out", "ffn_in", "ffn_out")
    assert found == {f"blocks.{i}.streams.{stream}.{name}" for i in range(config.layers) for name in names}
    init_weights(model, 3)
    init_weights(plain, 3)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), plain.parameters(), strict=True))
    on_cpu(plain, "none")
    assert not any(isinstance(m, Float8Linear) for m in plain.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_model_are_near_those_in_bf16(config, document, kind):
    batch = pack([document(i, task, 0.1 + 0.2 * i) for i, task in enumerate(TASKS)], config, multiple=16)
    plain, model = random_model(config), on_cpu(random_model(config), kind)
    for one in (plain, model):
        loss_of(one, batch).backward()
    off = []
    for (name, p), q in zip(plain.named_parameters(), model.parameters(), strict=True):
        if p.grad is not None and ".streams.video." in name and name.endswith(".weight"):
            off.append(((p.grad - q.grad).norm() / p.grad.norm()).item())
    assert 0 < max(off) < 0.15, off


@pytest.mark.parametrize("recompute", ["selective", "attention", "full"])
def test_what_is_made_again_is_the_same(config, document, recompute):
    batch = pack([document(i, task) for i, task in enumerate(TASKS)], config, multiple=16)
    whole, again = (on_cpu(random_model(config), recompute=kind) for kind in ("none", recompute))
    for one in (whole, again):
        loss_of(one, batch).backward()
    for p, q in zip(whole.parameters(), again.parameters(), strict=True):
        assert p.grad is q.grad is None or torch.equal(p.grad, q.grad)


def test_selective_makes_no_float8_product_again():
    class Counting(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen += func is torch.ops.aten._scaled_mm.default
            return func(*args, **(kwargs or {}))

    counts = {}
    for kind in ("none", "selective", "full"):
        _, float8 = linear("tensorwise")
        with Counting() as mode:
            # Whatever follows the product needs it in the backward pass.
            run = recomputing(lambda x, float8=float8: float8(x).sin().square(), kind)
            run(torch.randn(16, 32, requires_grad=True)).sum().backward()
        counts[kind] = mode.seen
    assert counts == {"none": 3, "selective": 3, "full": 4}


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed: pip install 'klear[lora]'")
def test_adapters_train_on_a_frozen_base_in_float8(config, document):
    lora = LoraSettings(base="x", rank=4)
    batch = pack([document(0, "T2AV")], config, multiple=16)
    plain, model = random_model(config, lora), on_cpu(random_model(config, lora))
    found = [n for n, m in model.named_modules() if isinstance(m, Float8Linear)]
    assert len(found) == 4 * config.layers and all(name.endswith(".base_layer") for name in found)
    assert list(model.state_dict()) == list(plain.state_dict())
    losses = [loss_of(one, batch) for one in (plain, model)]
    for loss in losses:
        loss.backward()
    assert losses[0].item() != losses[1].item() == pytest.approx(losses[0].item(), rel=0.05)
    for (name, p), q in zip(plain.named_parameters(), model.named_parameters(), strict=True):
        assert (p.grad is None) == (q[1].grad is None), name
        if p.grad is not None and "streams.video.qkv" in name:
            assert 0 < (p.grad - q[1].grad).norm() < 0.2 * p.grad.norm(), name


def test_what_cannot_work_is_refused(config, monkeypatch):
    for changes, precision, fix in (({}, "fp32", "precision=bf16"), ({"ffn": 40}, "bf16", "model.ffn")):
        model = MMDiT(config.model_copy(update=changes))
        with pytest.raises(ConfigError, match=fix):
            parallelize(model, World(0, 1, CPU), ParallelSettings(float8="rowwise"), precision)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(ConfigError, match=r"capability 8\.9.*8\.0.*parallel\.float8=none"):
        parallelize(MMDiT(config), World(0, 1, torch.device("cuda", 0)), ParallelSettings(float8="rowwise"), "bf16")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    parallelize(MMDiT(config), World(0, 1, torch.device("cuda", 0)), ParallelSettings(float8="rowwise"), "bf16")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_trains_as_bf16_does():
    """300 steps; runs that differ by rounding alone are 1 to 2% apart (bench/RESULTS.md)."""
    reference = train(VARIANTS["bf16"], 300)
    assert ended(reference.video) < 0.7 * sum(reference.video[:5]) / 5, "or there is nothing to compare"
    for kind in KINDS:
        run = train(VARIANTS[f"float8 {kind}"], 300)
        for mine, theirs in ((run.video, reference.video), (run.audio, reference.audio)):
            assert ended(mine) / ended(theirs) - 1 < 0.02, kind
            assert 0 < furthest(mine, theirs) < 0.05, kind
