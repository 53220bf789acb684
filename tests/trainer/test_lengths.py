"""The lengths that documents can have, before any is seen."""

import numpy as np
import pytest
import torch

from tests.trainer.model.twins import small_document
from trainer.data.index import Index, Rows
from trainer.lengths import attend_at, lengths_of, make_ready
from trainer.model.exchange import Context
from trainer.model.kernels import op
from trainer.model.mmdit import MMDiT
from trainer.packing import pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.tasks import TASKS


class Told(Rows):
    """Rows of samples at hand."""

    def __init__(self, samples):
        self.samples = samples

    def sizes(self):
        counts = {
            name: np.array([len(getattr(s, name)) for s in self.samples], np.uint16)
            for name in ("audio", "video_text", "audio_text", "speech")
        }
        return counts | {"video": np.array([s.video.shape[:3] for s in self.samples], np.uint16)}


def test_every_document_has_one_of_them(config, document):
    for length in (1, 8):
        config = config.model_copy(update={"length": length})
        kinds = [(i, task, drop) for i in range(4) for task in ("T2AV", "T2A", "TI2V") for drop in range(8)]
        documents = [
            document(i, task, drop_video_text=bool(d & 1), drop_audio_caption=bool(d & 2), drop_transcript=bool(d & 4))
            for i, task, d in kinds
        ]
        seen = set(pack(documents, config).packed.document_lengths)
        tasks = [TASKS[name] for name in ("T2AV", "T2A", "TI2V")]
        assert lengths_of(Told([d.sample for d in documents]), tasks, config) == sorted(seen)


def test_columns_of_an_index_tell_them(config):
    row = {
        "key": "0" * 32, "split": "train", "audio_class": "sound", "tasks": ["T2V"], "video": [2, 2, 3], "audio": 9,
        "video_text": 4, "audio_text": 5, "speech": 3, "seconds": 1.0, "shard": "a.tar", "offset": 0, "size": 1,
    }  # fmt: skip
    rows = Index.of([row]).split(None)
    assert lengths_of(rows, [TASKS["T2V"], TASKS["T2A"]], config) == sorted(
        [12 + 1, 12 + 4, 9 + 1 + 1, 9 + 1 + 4, 9 + 5 + 1, 9 + 5 + 4]
    )


@pytest.fixture
def strides(monkeypatch):
    """What attention was given since: [(length, strides of q, k and v)], and how many gradients it was asked for."""
    seen = []
    real = op._attend

    def spy(q, k, v, *more):
        seen.append((len(q), *(x.stride() for x in (q, k, v))))
        return real(q, k, v, *more)

    monkeypatch.setattr(op, "_attend", spy)
    return seen


@pytest.mark.parametrize("shared", [False, True])
def test_plans_are_for_what_the_blocks_attend_with(config, document, strides, shared):
    config = config.model_copy(update={"shared": shared, "layers": 1})
    batch = pack([document(0, "T2AV")], config)
    MMDiT(config)(batch.packed)
    lengths = list(batch.packed.document_lengths)
    shape, cpu = (config.heads, config.head_dim), torch.device("cpu")
    attend_at(lengths, shape, ParallelSettings(), cpu, "cpu")
    assert len(strides) == 2 and strides[0] == strides[1]


def test_plans_for_fused_blocks(config, strides):
    """Theirs are three tensors (tests/trainer/model/test_fused.py)."""
    attend_at([5], (2, 8), ParallelSettings(elementwise="triton"), torch.device("cpu"), "cpu")
    assert strides == [(5, *[(16, 8, 1)] * 3)]


@pytest.mark.parametrize("shared", [False, True])
def test_plans_for_fused_blocks_of_a_context_group(config, strides, monkeypatch, shared):
    """Queries, keys and values travel together and lie together. Here nobody else is in the group."""
    for way in ("rows_to_heads", "heads_to_rows"):
        monkeypatch.setattr(f"trainer.model.fused.block.{way}", lambda x, context: x)
    settings, cpu = ParallelSettings(elementwise="triton", context=2), torch.device("cpu")
    config = config.model_copy(update={"shared": shared, "layers": 1})
    model = parallelize(MMDiT(config), World(0, 1, cpu), settings)
    model.context = Context(None, 1, 0)
    batch = pack([small_document(0, "TI2AV", config)], config, pad_rows=1)
    model(batch.packed)
    attend_at(batch.packed.document_lengths, (config.heads, config.head_dim), settings, cpu, "cpu")
    assert len(strides) == 2 and strides[0] == strides[1]


def test_attention_runs_again_where_a_step_makes_it_again(strides):
    for kind, times in (("none", 1), ("attention", 1), ("full", 2)):
        strides.clear()
        attend_at([5], (2, 8), ParallelSettings(recompute=kind), torch.device("cpu"), "cpu")
        assert len(strides) == times


def test_another_kernel_needs_no_plans(monkeypatch):
    class Idle:
        model = type("Model", (), {"kernel": "auto"})
        world = type("World", (), {"device": torch.device("cpu")})

    assert make_ready(Idle(), type("Settings", (), {"precision": "bf16"})) == 0
