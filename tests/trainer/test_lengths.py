"""The lengths that documents can have, before any is seen."""

import torch

from trainer import lengths
from trainer.data.index import Index, Rows
from trainer.lengths import attend_at, lengths_of, make_ready
from trainer.packing import pack
from trainer.tasks import TASKS


class Told(Rows):
    """Rows of samples at hand."""

    def __init__(self, samples):
        self.samples = samples

    def sizes(self):
        import numpy as np

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


def test_attention_runs_both_ways_at_each(monkeypatch):
    seen = []
    real = lengths.attend
    monkeypatch.setattr(lengths, "attend", lambda *given: seen.append(given) or real(*given))
    attend_at([5, 3], 2, 8, torch.device("cpu"), "cpu")
    assert [tuple(given[0].shape) for given in seen] == [(5, 2, 8), (3, 2, 8)]


def test_another_kernel_needs_no_plans(monkeypatch):
    class Idle:
        model = type("Model", (), {"kernel": "auto"})
        world = type("World", (), {"device": torch.device("cpu")})

    assert make_ready(Idle(), type("Settings", (), {"precision": "bf16"})) == 0
