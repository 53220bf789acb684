"""Packing: patches, pads for context parallelism, and its speed."""

import time
from dataclasses import replace

import pytest
import torch

from trainer.data.sample import Sample
from trainer.documents import Conditions, Document
from trainer.loop import train
from trainer.model.config import ModelConfig
from trainer.model.mmdit import MMDiT
from trainer.objective import Reading
from trainer.packing import pack
from trainer.patches import patchify, unpatchify
from trainer.sampler import sample_documents
from trainer.settings import load_train_settings
from trainer.tasks import TASKS


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_patches_come_back(patch):
    video = torch.randn(3, 6, 12, 5)
    rows = patchify(video, patch)
    assert rows.shape == (3, 6 // patch, 12 // patch, 5 * patch**2)
    assert torch.equal(unpatchify(rows.flatten(0, 2), (3, 6, 12), patch), video)


def test_a_patch_holds_its_cells_row_by_row():
    video = torch.arange(16.0).reshape(1, 4, 4, 1)
    assert patchify(video, 2)[0, 0, 1].tolist() == [2, 3, 6, 7]


def _wide(document, patch):
    """A document with a picture of 4 x 6 cells."""
    from dataclasses import replace

    g = torch.Generator().manual_seed(7)
    video, noise = (torch.randn(3, 4, 6, 6, generator=g) for _ in range(2))
    old = document(0, "TI2AV")
    return replace(old, sample=replace(old.sample, video=video), conditions=replace(old.conditions, noise_video=noise))


def test_packed_patches_keep_the_clean_first_latent(config, document):
    config = config.model_copy(update={"patch": 2})
    batch = pack([_wide(document, 2)], config)
    assert batch.packed.lengths[0][0] == 3 * 2 * 3 and batch.packed.video.shape[1] == 6 * 4
    assert batch.video.carries_loss[:6].sum() == 0 and batch.video.carries_loss[6:18].all()
    clean = batch.video.clean[:18]
    assert torch.equal(unpatchify(clean, (3, 4, 6), 2), batch.documents[0].sample.video)


def test_samples_of_a_patched_model_have_the_shape_of_the_latents(config, document):
    config = config.model_copy(update={"patch": 2})
    readings = {m: Reading("x", True, torch.ones(c), torch.ones(c)) for m, c in (("video", 24), ("audio", 5))}
    wide = _wide(document, 2)
    made = sample_documents(MMDiT(config), [wide], readings, 2, 2.0, "fp32")[0]
    assert made.video.shape == (3, 4, 6, 6)
    assert torch.equal(made.video[0], wide.sample.video[0])


@pytest.mark.parametrize("multiple", [2, 8, 24])
def test_pads_make_rows_divide(multiple, config, model, document):
    documents = [document(i, task) for i, task in enumerate(TASKS)]
    plain, padded = pack(documents, config), pack(documents, config, multiple=multiple)
    rows = [len(ids) for ids in padded.packed.positions]
    assert all(count % multiple == 0 for count in rows)
    assert all(16 <= count - len(ids) + 16 < 16 + multiple for count, ids in zip(rows, plain.packed.positions))
    assert [len(padded.packed.video), len(padded.packed.audio_text), len(padded.packed.group[3])] == [
        rows[0], rows[2], rows[3]
    ]  # fmt: skip
    one, two = model(plain.packed), model(padded.packed)
    count = sum(n[0] for n in plain.packed.lengths)
    assert torch.allclose(one.video[:count], two.video[:count], atol=1e-5)


def test_a_model_with_patches_trains_and_is_evaluated(out_even, tiny_even):
    from trainer.evaluate import evaluate

    done = train(tiny_even, out_even, 1)
    assert done["heldout"][-1]["video"] < done["heldout"][0]["video"]
    report = evaluate(tiny_even, out_even, 1)
    assert 0.5 < report["overall"]["video"]["linear"] < 5


def _long(rows: tuple[int, int, int, int], model: ModelConfig) -> Document:
    """A T2AV document of the real widths: video as one row of cells."""
    video, audio = torch.randn(1, 1, rows[0], model.video_channels), torch.randn(rows[3], model.audio_channels)
    text = [torch.randn(n, model.text_dim) for n in rows[1:3]]
    speech = torch.zeros(100, dtype=torch.uint8)
    sample = Sample("00", "train", "sound", tuple(TASKS), video, audio, text[0], text[1], speech)
    return Document(sample, TASKS["T2AV"], Conditions(0.5, 0.5, torch.randn_like(video), torch.randn_like(audio)))


@pytest.mark.parametrize(("count", "rows"), [(64, (600, 64, 64, 215)), (1, (25_440, 256, 256, 215))])
def test_packing_takes_milliseconds(count, rows):
    """64 documents of about 1k tokens, and one of 26k: no work per token in Python."""
    config = load_train_settings("klear_26b").model
    documents = [_long(rows, config)] * count
    pack(documents, config)
    began = time.perf_counter()
    batch = pack(documents, config)
    seconds = time.perf_counter() - began
    print(f"{count} documents of {sum(batch.packed.document_lengths) // count} tokens: {1e3 * seconds:.1f} ms")
    assert seconds < 0.5


def test_each_medium_and_its_text_have_its_sigma(config, document):
    """Video and video text one level, audio and audio text the other; given latents are clean."""
    held = document(0, "TI2AV")
    drawn = replace(held.conditions, sigma_video=0.3, sigma_audio=0.8)
    packed = pack([replace(held, conditions=drawn)], config).packed
    video, video_text, audio_text, audio = (
        packed.sigmas[group][:count] for group, count in zip(packed.group, packed.lengths[0], strict=True)
    )
    cells = held.sample.video[0].numel() // config.video_channels
    assert (video[:cells] == 0).all() and video[cells:].allclose(torch.tensor(0.3))
    assert video_text.allclose(torch.tensor(0.3))
    assert audio_text.allclose(torch.tensor(0.8)) and audio.allclose(torch.tensor(0.8))
