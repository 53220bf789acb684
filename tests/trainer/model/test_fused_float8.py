"""Float8 in the fused blocks: the casts' bits are those of `trainer.float8`; largest values are not read for again."""

import importlib.util

import pytest
import torch
import triton.language as tl
from triton.runtime import interpreter

from manifests.errors import ConfigError
from tests.trainer.model.twins import DEVICE, assert_equal, outcome, small_document, twins
from trainer.divides import ALIGN
from trainer.float8 import E4M3, E5M2, Float8Linear, scaled
from trainer.lora import LoraSettings
from trainer.model.fused import product
from trainer.model.fused.casts import cast, cast_both, cast_turned, peak_of
from trainer.model.fused.product import Input
from trainer.packing import pack

MULTIPLE = ALIGN if DEVICE.type == "cuda" else 1
FORMATS = {tl.float8e4nv: E4M3, tl.float8e5: E5M2}


@pytest.fixture(autouse=True)
def rounding(monkeypatch):
    """Triton 3.7's interpreter rounds to float8 wrongly (triton-lang/triton issue 8322: 7.52 becomes 4 in e5m2, NaN a
    number); a GPU has an instruction for it. Here PyTorch rounds for the interpreter."""
    convert = interpreter._convert_float

    def right(data, source, target, mode):
        if target not in FORMATS or source != tl.float32:
            return convert(data, source, target, mode)
        values = torch.from_numpy(data.copy().view("float32").reshape(data.shape))
        return values.to(FORMATS[target]).view(torch.uint8).numpy()

    monkeypatch.setattr(interpreter, "_convert_float", right)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """The same bits, but that NaN is NaN whatever its bits are."""
    x, y = a.float(), b.float()
    return a.shape == b.shape and bool(((x == y) | (x.isnan() & y.isnan())).all())


@pytest.mark.parametrize("dtype", [E4M3, E5M2], ids=str)
@pytest.mark.parametrize("shape", [(16, 48), (131, 144), (0, 16)], ids=str)
@pytest.mark.parametrize("source", [torch.float32, torch.bfloat16], ids=str)
def test_casts_have_the_bits_of_the_plain_cast(dtype, shape, source):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=g) * 10 ** torch.empty(shape).uniform_(-6, 3, generator=g)
    x = x.to(DEVICE, source)
    if not x.numel():
        assert cast(x, peak_of(x), dtype).values.shape == cast_turned(x, peak_of(x), dtype).values.t().shape == shape
        return
    plain, peak = scaled(x, dtype, (0, 1)), peak_of(x)
    assert torch.equal(peak, x.abs().max().float().reshape(1))
    both = cast_both(x, peak, dtype)
    for found in (cast(x, peak, dtype), both[0], cast_turned(x, peak, dtype).turned, both[1].turned):
        assert same(found.values, plain.values) and torch.equal(found.unit, plain.unit)
    assert both[1].values.is_contiguous() and both[0].values.is_contiguous()


@pytest.mark.parametrize("value", [0.0, 2.0**-120, 448.0, 449.0, 2.0**100, torch.inf, torch.nan])
def test_casts_of_extreme_values(value):
    x = torch.full((16, 32), value, device=DEVICE)
    x[3] = value / 4
    plain, found = scaled(x, E4M3, (0, 1)), cast(x, peak_of(x), E4M3)
    assert same(found.values, plain.values) and same(found.unit, plain.unit)


@pytest.mark.parametrize("trains", [(True, True), (True, False), (False, True)], ids=str)
def test_products_have_the_bits_of_the_plain_linear(trains):
    """trains: whether the input and the weight need a gradient."""
    torch.manual_seed(0)
    linear = Float8Linear.of(torch.nn.Linear(32, 48, dtype=torch.bfloat16, device=DEVICE), "tensorwise", 16)
    linear.weight.requires_grad_(trains[1])
    x, given = (torch.randn(32, n, device=DEVICE).bfloat16() for n in (32, 48))
    found = []
    for way in (lambda t: linear(t) - linear.bias, lambda t: product.times(linear, Input(t, None, len(t))).product):
        leaf, linear.weight.grad = x.clone().requires_grad_(trains[0]), None
        made = way(leaf)
        made.backward(given)
        found.append((made, leaf.grad, linear.weight.grad))
    (_, *plain), (made, *fused) = found
    assert torch.equal(made + linear.bias, linear(x))
    for a, b, wanted in zip(plain, fused, trains, strict=True):
        assert (torch.equal(a, b) and a.any()) if wanted else a is b is None


@pytest.mark.parametrize("rows", [10, 144])
def test_rows_that_are_missing_are_zeros(rows):
    """What attention leaves has no rows for pads; the product has them, and the gradient of what it left has none."""
    torch.manual_seed(0)
    linear = Float8Linear.of(torch.nn.Linear(32, 48, dtype=torch.bfloat16, device=DEVICE), "tensorwise", 16)
    x, given = (torch.randn(n, w, device=DEVICE).bfloat16() for n, w in ((rows, 32), (rows + 6, 48)))
    found = []
    for pad in (True, False):
        leaf, linear.weight.grad = x.clone().requires_grad_(), None
        padded = torch.nn.functional.pad(leaf, (0, 0, 0, 6)) if pad else leaf
        product.times(linear, Input(padded, None, rows + 6)).product.backward(given)
        found.append((leaf.grad, linear.weight.grad))
    assert all(torch.equal(a, b) and a.any() for a, b in zip(*found, strict=True))


def test_fewer_rows_take_the_plain_product():
    linear = Float8Linear.of(torch.nn.Linear(32, 48, device=DEVICE), "tensorwise", 17)
    x = torch.randn(16, 32, device=DEVICE)
    made = product.times(linear, Input(x, None, len(x)))
    assert not product.casts(linear, 16) and made.mark is None and made.bias is linear.bias
    assert torch.equal(made.product + made.bias, linear(x))


@pytest.fixture
def models(config):
    """models(shared): a plain and a fused model of one layer with float8, and a micro-batch."""

    def make(shared: bool, **settings):
        small = config.model_copy(update={"layers": 1, "shared": shared})
        made = twins(small, torch.bfloat16, "bf16", float8="tensorwise", float8_rows=1, **settings)
        return made, pack([small_document(3, "TI2AV", small)], small, pad_rows=1, multiple=MULTIPLE)

    return make


@pytest.mark.parametrize("shared", [False, True])
def test_fused_blocks_equal_plain_ones_within_rounding(models, shared):
    """Where bf16 rounds otherwise, a value may become the next of float8, an eighth away: more than in bf16 alone."""
    both, batch = models(shared)
    assert_equal(both, batch, 0.15)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["selective", "attention", "full"])
def test_what_is_made_again_is_the_same(models, recompute):
    expected, found = (outcome(made[1], b.to(DEVICE)) for made, b in (models(True), models(True, recompute=recompute)))
    assert all(torch.equal(a, b) for a, b in zip(expected[0], found[0], strict=True))
    assert expected[1].keys() == found[1].keys()
    assert all(torch.equal(g, found[1][name]) for name, g in expected[1].items())


def test_largest_values_come_from_whoever_made_them(models, monkeypatch):
    """Read for: the weights of four linears, and what attention left (no pads), which no kernel of ours makes."""
    (_, fused), batch = models(True)
    read: list[torch.Size] = []
    monkeypatch.setattr(product, "peak_of", lambda x: read.append(x.shape) or peak_of(x))
    for name in ("cast", "cast_both", "cast_turned"):
        real = getattr(product, name)

        def checked(x, peak, *rest, real=real):
            assert torch.equal(peak, x.abs().max().float().reshape(1)) and peak > 0
            return real(x, peak, *rest)

        monkeypatch.setattr(product, name, checked)
    _, gradients = outcome(fused, batch.to(DEVICE))
    weights = [linear.weight.shape for linear in fused.modules() if isinstance(linear, Float8Linear)]
    width, rows = fused.config.width, sum(batch.packed.document_lengths)
    assert len(weights) == 4 and sorted(read) == sorted([*weights, torch.Size((rows, width))])
    assert gradients


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed: pip install 'klear[lora]'")
@pytest.mark.parametrize("shared", [False, True])
def test_adapters_on_a_base_in_float8(config, shared):
    """Some linears adapted, whose base keeps the plain casts, some not."""
    small = config.model_copy(update={"layers": 1, "shared": shared})
    lora = LoraSettings(base="x", rank=4, targets=("qkv", "out"))
    both = twins(small, torch.bfloat16, "bf16", lora=lora, float8="tensorwise", float8_rows=1)
    assert_equal(both, pack([small_document(3, "TI2AV", small)], small, pad_rows=1, multiple=MULTIPLE), 0.15)


def test_rowwise_has_no_kernels(config):
    with pytest.raises(ConfigError, match="float8=tensorwise"):
        twins(config, torch.bfloat16, "bf16", float8="rowwise")


def test_a_value_that_is_not_finite_reaches_every_gradient(models):
    (_, fused), batch = models(True)
    with torch.no_grad():
        fused.blocks[0].streams["shared"].ffn_in.bias[0] = torch.nan
    _, gradients = outcome(fused, batch.to(DEVICE))
    assert all(g.isnan().any() for name, g in gradients.items() if "ffn_out.weight" in name or "qkv.weight" in name)
