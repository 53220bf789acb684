"""Documents whose tokens are a multiple of a length, by registers at the end of a text."""

import pytest
import torch

from trainer.batches import Grain, rows_of, tokens_of
from trainer.data.sample import SampleInfo
from trainer.model.init import init_weights
from trainer.model.layout import PAD, TRANSCRIPT
from trainer.model.mmdit import MMDiT
from trainer.packing import pack
from trainer.tasks import TASKS


def _info(sample) -> SampleInfo:
    counts = {name: len(getattr(sample, name)) for name in ("audio", "video_text", "audio_text", "speech")}
    return SampleInfo(sample.key, "sound", sample.tasks, video=tuple(sample.video.shape[:3]), **counts)


@pytest.mark.parametrize("task", list(TASKS))
def test_rows_are_a_multiple_and_as_counted(config, document, task):
    config = config.model_copy(update={"length": 8})
    one = document(1, task)
    batch = pack([one, document(2, task, drop_video_text=True, drop_transcript=True)], config)
    assert all(sum(rows) % 8 == 0 for rows in batch.packed.lengths)
    assert batch.packed.lengths[0] == rows_of(_info(one.sample), TASKS[task], Grain.of(config))
    plain = tokens_of(_info(one.sample), TASKS[task])
    assert 0 <= sum(batch.packed.lengths[0]) - plain < 8


def test_transcripts_keep_their_rows(config, document):
    """Registers come after them, so that a byte finds its row."""
    documents = [document(i, "T2A") for i in range(3)]
    packed = pack(documents, config.model_copy(update={"length": 16})).packed
    rows = packed.transcript_row[packed.transcript >= 0]
    assert (packed.audio_text_kind[rows] == TRANSCRIPT).all()
    assert (packed.audio_text_kind == TRANSCRIPT).sum() == len(rows)


def test_registers_are_learned_and_a_document_is_still_the_same_alone(config, document):
    config = config.model_copy(update={"length": 16})
    model = MMDiT(config)
    init_weights(model, 0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    documents = [document(i, task) for i, task in enumerate(TASKS)]
    together = pack(documents, config)
    output = model(together.packed)
    output.video.square().sum().backward()
    assert model.video_text.kinds.weight.grad[PAD].any()
    for i, single in enumerate(documents):
        alone = model(pack([single], config).packed).audio[: len(single.sample.audio)]
        rows = output.audio[together.audio.document == i]
        assert torch.allclose(rows, alone[: len(rows)], atol=1e-5)
