"""The tower: identity at the start, packing and masking change nothing, absent streams get nothing."""

from pathlib import Path

import pytest
import torch

from trainer.model.config import ModelConfig
from trainer.model.count import count_parameters, itemised
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, Reading, global_loss, loss_counts, media_losses
from trainer.packing import PackedBatch, pack
from trainer.settings import PRESETS, load_train_settings
from trainer.tasks import TASKS


def loss_of(model: MMDiT, batch: PackedBatch) -> torch.Tensor:
    readings = {m: Reading("x", True, torch.ones(c), torch.ones(c)) for m, c in (("video", 6), ("audio", 5))}
    losses = media_losses(model(batch.packed), batch, readings)
    return global_loss(losses, loss_counts(batch), ObjectiveSettings())


def test_every_block_is_the_identity_and_the_output_zero_at_the_start(config, batch):
    model = MMDiT(config)
    init_weights(model, 0)
    seen = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
    prediction = model(batch.packed)
    assert all(torch.equal(a, b) for before, after in seen for a, b in zip(before, after))
    assert len(seen) == config.layers
    assert not prediction.video.any() and not prediction.audio.any()


@pytest.mark.parametrize("changes", [{}, {"modulation_rank": 3}, {"shared": True}], ids=str)
def test_no_weight_is_dead_from_the_start(config, batch, changes):
    """Zero gates and heads open one after the other; two zero factors in a row would stay zero for ever."""
    config = config.model_copy(update=changes)
    model = MMDiT(config)
    init_weights(model, 0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(4):
        loss_of(model, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    still = {n for n, p in model.named_parameters() if torch.equal(p, before[n])}
    last = f"blocks.{config.layers - 1}.streams"
    nowhere = {n for n in still if n.startswith(last) and "_text." in n}  # the last block's text rows reach no loss
    assert still <= nowhere, sorted(still - nowhere)


def test_packed_equals_each_document_alone(config, model, document):
    documents = [document(i, task, 0.1 + 0.2 * i, drop_transcript=i == 1) for i, task in enumerate(TASKS)]
    together = pack(documents, config)
    output = model(together.packed)
    for i, single in enumerate(documents):
        batch = pack([single], config)
        alone = model(batch.packed)
        for medium, targets, own in (("video", together.video, batch.video), ("audio", together.audio, batch.audio)):
            rows = getattr(output, medium)[targets.document == i]
            assert torch.allclose(rows, getattr(alone, medium)[own.document == 0], atol=1e-5)


def test_shared_weights_see_the_same_layout(config, document):
    """Streams with one weight set between them, as one buffer: the same model as four copies of that set."""
    own = MMDiT(config)
    init_weights(own, 0)
    shared = MMDiT(config.model_copy(update={"shared": True}))
    with torch.no_grad():
        for p in shared.parameters():
            p.normal_(std=0.1)
    weights = shared.state_dict()
    copied = {n: weights[n if n in weights else _shared_name(n)] for n in own.state_dict()}
    own.load_state_dict(copied)
    batch = pack([document(i, task, 0.1 + 0.2 * i) for i, task in enumerate(TASKS)], config)
    for ours, reference in zip(shared(batch.packed), own(batch.packed)):
        assert torch.allclose(ours, reference, atol=1e-5) and ours.abs().max() > 0.01


def _shared_name(name: str) -> str:
    pieces = name.split(".")
    return ".".join([*pieces[:3], "shared", *pieces[4:]])


def test_pad_rows_change_nothing(config, model, document):
    documents = [document(i, task) for i, task in enumerate(TASKS)]
    padded, bare = pack(documents, config), pack(documents, config, pad_rows=0)
    with_pads, without = model(padded.packed), model(bare.packed)
    assert torch.allclose(with_pads.video[:-16], without.video, atol=1e-6)
    assert torch.allclose(with_pads.audio[:-16], without.audio, atol=1e-6)
    gradients = []
    for batch in (padded, bare):
        model.zero_grad()
        loss_of(model, batch).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(gradients[0][n], gradients[1][n], atol=1e-5) for n in gradients[0])


def test_an_absent_stream_equals_masked_queries_and_keys(config, model, document, monkeypatch):
    """The paper's T2V is attention masked to {V, TV}; here those tokens are simply not there."""
    t2v = pack([document(0, "T2V")], config)
    whole = pack([document(0, "T2AV")], config)
    expected = model(t2v.packed).video[:-16]
    kept = sum(whole.packed.lengths[0][:2])

    def masked(q, k, v, segments, kernel):
        allowed = torch.zeros(len(q), len(q), dtype=torch.bool)
        allowed[:kept, :kept] = True
        allowed[kept:, kept:] = True
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(0, 1)

    monkeypatch.setattr("trainer.model.attention.attend", masked)
    assert torch.allclose(model(whole.packed).video[:-16], expected, atol=1e-5)


def test_t2v_does_not_depend_on_audio_weights_and_gives_them_exactly_no_gradient(config, model, document):
    batch = pack([document(0, "T2V"), document(1, "TI2V")], config)
    loss = loss_of(model, batch)
    loss.backward()
    audio = [(n, p) for n, p in model.named_parameters() if "audio" in n]
    assert len(audio) > 20
    assert all(p.grad is None or not p.grad.any() for _, p in audio)
    with torch.no_grad():
        for _, p in audio:
            p.normal_()
    assert torch.equal(loss_of(model, batch), loss)


def test_a_batch_of_no_documents_still_touches_every_stream(config, model):
    batch = pack([], config)
    loss = loss_of(model, batch)
    loss.backward()
    assert loss == 0
    touched = {n for n, p in model.named_parameters() if p.grad is not None}
    full = {n for n, _ in model.named_parameters() if not (n.startswith("blocks.1.") and "_text." in n)}
    assert full <= touched | {"sigma.inner.weight"}
    assert all(not p.grad.any() for p in model.parameters() if p.grad is not None)


def test_a_dropped_caption_is_not_an_absent_stream(config, model, document):
    there = model(pack([document(0, "T2AV")], config).packed).video
    null = model(pack([document(0, "T2AV", drop_video_text=True)], config).packed).video
    assert not torch.allclose(there, null, atol=1e-3)
    dropped = pack([document(0, "T2AV", drop_video_text=True)], config)
    assert dropped.packed.lengths[0][1] == 1


def test_an_empty_transcript_is_not_a_dropped_one(config, model, document):
    empty = pack([document(3, "T2A")], config)
    dropped = pack([document(3, "T2A", drop_transcript=True)], config)
    assert empty.packed.lengths == dropped.packed.lengths
    assert not torch.allclose(model(empty.packed).audio, model(dropped.packed).audio, atol=1e-3)


def test_modulation_is_float32_where_products_are_bf16(model, batch):
    exact = model.tables_of(model.sigma(batch.packed.sigmas))
    with torch.autocast("cpu", torch.bfloat16):
        tables = model.tables_of(model.sigma(batch.packed.sigmas))
        packed = batch.packed
        tokens = model.embed(packed.video, packed.audio, model.prepare(packed).texts)
        assert {stream.dtype for stream in tokens} == {torch.bfloat16}
    assert all(torch.equal(a, b) for x, y in zip(exact, tables) for a, b in zip(x, y))


def test_the_26_billion_parameters():
    settings = load_train_settings("klear_26b")
    counts = count_parameters(settings.model)
    items = itemised(settings.model)
    print("\n".join(f"{name:32}{count:>16,}" for name, count in items.items()))
    assert sum(items.values()) == counts["total"] and len(items) == 6 + 12
    assert {count for name, count in items.items() if "modulation" in name} == {32 * (6 * 4096**2 + 6 * 4096)}
    assert counts["blocks"] == 32 * 4 * (12 * 4096**2 + 12 * 4096 + 256) == 25_776_128_000
    assert abs(counts["total"] / 1e9 - 25.90) < 0.01


def test_the_wide_26_billion_are_in_the_feed_forwards():
    d, ffn, rank = 4096, 16384, 256
    counts = count_parameters(load_train_settings("klear_26b_wide").model)
    print(counts)
    attention = 4 * d**2 + 4 * d + 2 * 128
    forward, modulation = 2 * d * ffn + ffn + d, 7 * d * rank + 6 * d
    assert counts["blocks"] == 32 * 4 * (attention + forward + modulation) == 26_717_224_960
    assert abs(counts["total"] / 1e9 - 26.79) < 0.01


def test_every_preset_is_valid():
    names = sorted(path.stem for path in Path(PRESETS).glob("*.yaml"))
    assert {"demo", "tiny", "klear_26b"} <= set(names)
    assert all(isinstance(load_train_settings(name).model, ModelConfig) for name in names)


@pytest.mark.parametrize(("preset", "billions"), [("local", 0.5), ("cluster", 5.2)])
def test_presets_have_the_size_they_claim(preset, billions):
    counts = count_parameters(load_train_settings(preset).model)
    assert abs(counts["total"] / 1e9 - billions) < 0.02 * billions
