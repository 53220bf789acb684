"""Sampling: steps that reuse equal whole passes, what runs how often, and guidance's arithmetic of rows."""

from collections import Counter
from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from manifests.errors import ConfigError
from trainer.model.mmdit import MMDiT, Prediction
from trainer.model.modulation import Modulation, SigmaEmbedding
from trainer.model.rope import rope_table
from trainer.objective import Reading
from trainer.packing import pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.sampler import sample_documents
from trainer.sampling.euler import Euler
from trainer.sampling.weights import cast_products

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
BATCHES = [("T2AV",), ("T2A",), ("TI2AV",), ("T2AV", "T2V", "TI2AV", "T2A")]
STEPS = 5


def readings(prediction: str, device: str = "cpu") -> dict[str, Reading]:
    ones = {"video": torch.ones(6, device=device), "audio": torch.ones(5, device=device)}
    return {m: Reading(prediction, prediction == "x", one, one) for m, one in ones.items()}


def made(model, documents, reuse, guidance=2.0, precision="fp32", prediction="v", advance=lambda steps: None):
    device = next(model.parameters()).device.type
    read = readings(prediction, device)
    return sample_documents(model, documents, read, STEPS, guidance, precision, advance, reuse)


def pairs(one, two):
    """Tensors of two outcomes, side by side; the same are absent in both."""
    for a, b in zip(one, two, strict=True):
        for x, y in ((a.video, b.video), (a.audio, b.audio)):
            assert (x is None) == (y is None)
            if x is not None:
                yield x, y


@pytest.fixture
def row_by_row(monkeypatch):
    """AdaLN works on its levels one at a time: its rounding then does not depend on how many there are."""
    for kind in (SigmaEmbedding, Modulation):

        def forward(self, x, whole=kind.forward):
            return torch.cat([whole(self, row) for row in x.split(1)])

        monkeypatch.setattr(kind, "forward", forward)


@pytest.mark.parametrize("tasks", BATCHES, ids="-".join)
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("reuse", ["cache", "graph"])
def test_reuse_equals_whole_passes_bit_for_bit(model, document, row_by_row, tasks, guidance, reuse):
    documents = [document(i, task, 1.0) for i, task in enumerate(tasks)]
    whole, reused = (made(model, documents, way, guidance) for way in ("none", reuse))
    assert all(torch.equal(x, y) for x, y in pairs(whole, reused))
    assert all(x.isfinite().all() for x, _ in pairs(whole, reused))


@pytest.mark.parametrize(("shared", "rank", "prediction"), [(True, None, "v"), (True, 3, "x"), (False, 3, "x")])
def test_reuse_equals_whole_passes_within_rounding(config, document, shared, rank, prediction):
    """As it is: one product of AdaLN over all levels rounds differently from one a step."""
    torch.manual_seed(0)
    model = MMDiT(config.model_copy(update={"shared": shared, "modulation_rank": rank}))
    for p in model.parameters():
        p.requires_grad_(False).normal_(std=0.1)
    documents = [document(i, task, 1.0) for i, task in enumerate(BATCHES[-1])]
    whole, cached = (made(model, documents, way, prediction=prediction) for way in ("none", "cache"))
    assert all(torch.allclose(x, y, atol=1e-4, rtol=1e-4) for x, y in pairs(whole, cached))


def test_levels_in_chunks_are_the_same_levels(model, document, row_by_row, monkeypatch):
    documents = [document(0, "T2AV", 1.0)]
    whole = made(model, documents, "cache")
    for chunk in (1, 2, 4):
        monkeypatch.setattr("trainer.sampler.MOST_STEPS", chunk)
        assert all(torch.equal(x, y) for x, y in pairs(whole, made(model, documents, "cache")))


def test_what_no_step_changes_runs_once(model, document, monkeypatch):
    count: Counter[str] = Counter()
    parts = {"video": "step", "audio": "step", "video_text": "once", "audio_text": "once", "sigma": "once"}
    parts |= {f"heads.{medium}": "step" for medium in ("video", "audio")}
    parts |= {f"heads.{medium}.modulation": "once" for medium in ("video", "audio")}
    parts |= {f"blocks.{i}": "step" for i in range(2)} | {f"blocks.{i}.modulation": "once" for i in range(2)}
    for name in parts:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: count.update([name]))
    monkeypatch.setattr("trainer.model.mmdit.rope_table", lambda *a: count.update(["rope"]) or rope_table(*a))
    documents = [document(i, task, 1.0) for i, task in enumerate(BATCHES[-1])]
    made(model, documents, "cache")
    assert count.pop("rope") == 4
    assert count == {name: STEPS if often == "step" else 1 for name, often in parts.items()}


@pytest.mark.parametrize("multiple", [1, 7, 64])
def test_guidance_finds_its_halves_whatever_the_pads(config, document, multiple):
    """Documents and their twins end with what one of them alone gets by hand."""
    documents = [document(0, "T2AV", 1.0), document(1, "TI2AV", 1.0)]
    batch = pack([*documents, *documents], config, multiple=multiple)
    output = batch.video.noise + 1, batch.audio.noise - 1
    for twin, sign in ((slice(0, 2), 1.0), (slice(2, 4), -1.0)):
        for i, targets in enumerate((batch.video, batch.audio)):
            own = (targets.document >= twin.start) & (targets.document < twin.stop)
            output[i][own] = sign * output[i][own]
    state = Prediction(batch.video.noisy, batch.audio.noisy)
    step = Euler.of(batch, readings("v"), 3.0)
    after = step(state, Prediction(*output), torch.tensor(1.0), torch.tensor(-0.25))
    for i, targets in enumerate((batch.video, batch.audio)):
        for number in range(2):
            mine, other = (targets.document == n for n in (number, number + 2))
            v = output[i][other] + 3.0 * (output[i][mine] - output[i][other])
            expected = state[i][mine] - 0.25 * v * targets.carries_loss[mine][:, None]
            assert torch.equal(after[i][mine], expected) and torch.equal(after[i][other], expected)
        pads = targets.document == 4
        assert torch.equal(after[i][pads], state[i][pads])


def test_weights_cast_once_give_the_bits_of_autocast(model, document):
    documents = [document(i, task, 1.0) for i, task in enumerate(BATCHES[-1])]
    before = made(model, documents, "cache", precision="bf16")
    cast_products(model, "bf16")
    kinds = {name: p.dtype for name, p in model.named_parameters()}
    assert kinds["blocks.0.streams.video.qkv.weight"] == kinds["audio_text.bytes.layers.0.bias"] == torch.bfloat16
    assert {d for n, d in kinds.items() if "modulation" in n or "sigma" in n or "norm" in n} == {torch.float32}
    assert all(torch.equal(x, y) for x, y in pairs(before, made(model, documents, "cache", precision="bf16")))


def test_compiled_blocks_are_ready_after_the_first_step(config, document, monkeypatch):
    """Nothing may be compiled while a graph is captured, which is at the second step."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    counters.clear()
    models = [MMDiT(config.model_copy(update={"shared": True})).requires_grad_(False) for _ in range(2)]
    for p in models[0].parameters():
        p.normal_(std=0.1)
    models[1].load_state_dict(models[0].state_dict())
    parallelize(models[1], World(0, 1, torch.device("cpu")), ParallelSettings(compile=True))
    documents = [document(i, task, 1.0) for i, task in enumerate(BATCHES[-1])]
    seen: list[int] = []
    plain = made(models[0], documents, "cache")
    compiled = made(models[1], documents, "graph", advance=lambda _: seen.append(counters["stats"]["unique_graphs"]))
    torch._dynamo.reset()
    assert seen[0] > 0 and set(seen) == {seen[0]}
    assert all(torch.allclose(x, y, atol=1e-5) for x, y in pairs(plain, compiled))


@gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_a_replayed_graph_equals_calls(model, document, compiled):
    torch._dynamo.reset()
    device = torch.device("cuda", torch.cuda.current_device())
    parallelize(model.to(device).requires_grad_(False), World(0, 1, device), ParallelSettings(compile=compiled), "bf16")
    documents = [document(i, task, 1.0) for i, task in enumerate(BATCHES[-1])]
    called, replayed = (made(model, documents, way, precision="bf16") for way in ("cache", "graph"))
    assert all(torch.equal(x, y) for x, y in pairs(called, replayed))
    model.kernel = "varlen"
    with pytest.raises(ConfigError, match="cannot be captured"):
        made(model, documents, "graph", precision="bf16")
