"""The FLOPs formula equals what PyTorch counts on the real model, forward and backward."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainer.flops import Load, backward_flops, batch_load, document_load, forward_flops, pad_load, training_flops
from trainer.model.config import ModelConfig
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.packing import PackedBatch, pack
from trainer.parallel import ParallelSettings, World, parallelize
from trainer.settings import load_train_settings
from trainer.tasks import TASKS


def counted(config: ModelConfig, batch: PackedBatch, float8: str = "none") -> tuple[int, int]:
    """FLOPs of the forward and of the backward pass as PyTorch counts them, less the look-ups of AdaLN's rows."""
    model = MMDiT(config)
    init_weights(model, 0)
    parallelize(model, World(0, 1, torch.device("cpu")), ParallelSettings(float8=float8, float8_rows=1), "bf16")
    with FlopCounterMode(display=False) as forward:
        output = model(batch.packed)
    with FlopCounterMode(display=False) as backward:
        (output.video.sum() + output.audio.sum()).backward()
    return forward.get_total_flops(), backward.get_total_flops() - _lookups(config, batch)


def _lookups(config: ModelConfig, batch: PackedBatch) -> int:
    """The gradient of a look-up in AdaLN's table is a product with one-hot rows, (G, R) x (R, width) a part; the text
    rows of the last block need none of four parts. Streams that share weights share a table of four times the rows."""
    rows = [len(ids) for ids in batch.packed.positions]
    part = 2 * len(batch.packed.sigmas) * config.width
    blocks, heads = 6 * config.layers * sum(rows), 2 * (rows[0] + rows[3])
    if config.shared:
        return part * (4 * blocks + heads)
    return part * (blocks + heads - 4 * (rows[1] + rows[2]))


def formula(batch: PackedBatch, config: ModelConfig) -> tuple[int, int]:
    load = batch_load(batch.packed) + pad_load(batch.packed)
    return sum(forward_flops(load, config).values()), sum(backward_flops(load, config).values())


@pytest.mark.parametrize("task", TASKS)
def test_one_document_of_each_task(task, config, document):
    batch = pack([document(0, task)], config)
    assert counted(config, batch) == formula(batch, config)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"modulation_rank": 3},
        {"layers": 1, "ffn": 24},
        {"heads": 1, "bytes": {"width": 8, "layers": 3}},
        {"shared": True},
    ],
    ids=str,
)
def test_packed_documents_of_all_tasks(changes, config, document):
    config = ModelConfig.model_validate(config.model_dump() | changes)
    documents = [document(i, task, drop_transcript=i == 1) for i, task in enumerate(TASKS)]
    batch = pack(documents, config, room=7)
    assert counted(config, batch) == formula(batch, config)


@pytest.mark.parametrize("float8", ["tensorwise", "rowwise"])
def test_float8_products_count_alike(float8, config, document):
    batch = pack([document(0, "T2AV")], config, multiple=16)
    assert counted(config, batch, float8) == formula(batch, config)


def test_pads_cost_little_and_are_apart(config, document):
    batch = pack([document(0, "T2V")], config)
    assert pad_load(batch.packed).rows == (16, 16, 16, 16)
    assert batch_load(batch.packed).rows == batch.packed.lengths[0]
    assert forward_flops(pad_load(batch.packed), config)["attention"] == 0


def test_the_paper_literal_model_costs_what_the_reference_says():
    """PFLOP of forward and backward: 5 s at 256p, 480p and 720p with 512 tokens a caption; attention's share."""
    config = load_train_settings("klear_26b").model
    for video, petaflops, share in ((7_168, 0.27, 0.41), (25_440, 1.64, 0.68), (57_600, 6.58, 0.83)):
        flops = training_flops(document_load((video, 512, 512, 215)), config)
        assert sum(flops.values()) / 1e15 == pytest.approx(petaflops, rel=0.02)
        assert flops["attention"] / sum(flops.values()) == pytest.approx(share, abs=0.01)


def test_loads_add_up(config):
    one, two = document_load((10, 2, 3, 4), 5), document_load((0, 0, 3, 4), 1)
    parts = [forward_flops(load, config) for load in (one, two, Load(groups=1))]
    together = forward_flops(one + two + Load(groups=1), config)
    assert together == {part: sum(p[part] for p in parts) for part in together}
