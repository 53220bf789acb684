"""The index in columns: rows as written, keys found by search, no row read twice, what is broken named."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import ConfigError
from trainer.data import index as module
from trainer.data.index import Index
from trainer.data.mixture import capability_counts, mixture_weights
from trainer.data.sample import SampleInfo
from trainer.data.stream import SampleStream

CLASSES = ("music", "sound", "single_speech")
TASKS = [("T2AV", "T2A"), ("T2A",), ("TI2AV", "T2AV", "TI2V", "T2V", "T2A"), ()]


def _rows(count: int) -> list[dict[str, Any]]:
    make = np.random.default_rng(0)
    return [
        {
            "key": make.bytes(16).hex(),
            "shard": f"shard-{i % 7:05d}.tar",
            "split": "val" if i % 5 == 0 else "train",
            "audio_class": CLASSES[i % 3],
            "tasks": list(TASKS[i % 4]),
            "video": [i % 16, 30, 52],
            "audio": i,
            "video_text": i % 64,
            "audio_text": 3,
            "speech": i % 192,
            "seconds": i / 24,
            "offset": 5_000_000_000 + i,
            "size": 4_000_000_000 - i,
        }
        for i in range(count)
    ]


def _write(path: Path, rows: list[dict[str, Any]], group: int = 64) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def _info(row: dict[str, Any]) -> SampleInfo:
    known = {name: value for name, value in row.items() if name not in {"shard", "offset", "size"}}
    return SampleInfo(**known | {"tasks": tuple(row["tasks"]), "video": tuple(row["video"])})


def test_rows_come_back_as_written_sorted_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 50)  # pieces whose dictionaries of names differ
    rows = _rows(300)
    index = Index.read(_write(tmp_path / "index.parquet", rows))
    ordered = sorted(rows, key=lambda row: row["key"])
    assert len(index) == 300 and list(index.split(None)) == [_info(row) for row in ordered]
    assert index.split("val").keys() == [row["key"] for row in ordered if row["split"] == "val"]
    assert len(index.split("test")) == 0
    for place, row in enumerate(ordered):
        assert index.row(row["key"]) == place
        found = index.place(place)
        assert (found.shard, found.offset, found.size) == (row["shard"], row["offset"], row["size"])
    part = index.split("train")[10:12]
    assert [info.key for info in part] == index.split("train").keys()[10:12]
    assert index.nbytes <= 60 * 300


@pytest.mark.parametrize("key", ["00", "", "z" * 32, "f" * 33, "0" * 32])
def test_a_key_that_is_not_there_has_no_row(tmp_path: Path, key: str) -> None:
    assert Index.read(_write(tmp_path / "index.parquet", _rows(9))).row(key) is None


def test_keys_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    rows = _rows(40)
    for i, row in enumerate(rows):
        row["key"] = f"{7 * (i // 8):016x}{i * 2**57 % 2**64:016x}"
    index = Index.read(_write(tmp_path / "index.parquet", rows))
    assert {index.key(index.row(row["key"]) or 0) for row in rows} == {row["key"] for row in rows}


def test_capabilities_and_the_stream_are_those_of_the_plain_list(tmp_path: Path) -> None:
    rows = _rows(200)
    training = Index.read(_write(tmp_path / "index.parquet", rows)).split("train")
    plain = [_info(row) for row in rows if row["split"] == "train"]
    assert capability_counts(training) == capability_counts(plain)
    weights = mixture_weights(training)
    assert weights == mixture_weights(plain)
    streams = [SampleStream(samples, weights, 5) for samples in (training, plain)]
    assert [streams[0].at(i) for i in range(500)] == [streams[1].at(i) for i in range(500)]


def _broken(change: dict[str, Any], drop: str = "") -> bytes:
    rows = _rows(5)
    rows[3] |= change
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows).drop_columns([drop] if drop else []), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_broken({"key": _rows(5)[0]["key"]}), "twice"),
        (_broken({"key": "xyz"}), "32 hex digits"),
        (_broken({"key": "g" * 32}), "32 hex digits"),
        (_broken({"speech": 70_000}), "not within"),
        (_broken({"offset": -1}), "not within"),
        (_broken({"tasks": ["T2X"]}), "other tasks"),
        (_broken({"audio": None}), "missing"),
        (_broken({"shard": None}), "missing"),
        (_broken({}, drop="audio_text"), "audio_text"),
        (_broken({})[:300], "cannot be read"),
    ],
)
def test_a_broken_index_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "index.parquet").write_bytes(data)
    with pytest.raises(ConfigError, match=words):
        Index.read(tmp_path / "index.parquet")
