"""What is known of tens of millions of samples, in columns: 59 bytes a sample, no Python object until one is asked for.

The key is the 16 bytes of the clip's id, sorted, so a sample is found by binary search. Names (split, class, tasks,
shard) are numbers into short lists. `bench/loader_index.py` measures memory and start-up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import files
from manifests.errors import ConfigError, MediaError
from manifests.files import AnyPath
from trainer.data.mixture import TASKS, Capability
from trainer.data.sample import SampleInfo

_KINDS: dict[str, Any] = {
    **{"offset": np.int64, "size": np.uint32, "seconds": np.float64, "audio": np.uint32},
    **dict.fromkeys(("video_text", "audio_text", "speech"), np.uint16),
}
_NAMED = {"shard": np.uint32, "split": np.uint8, "audio_class": np.uint8}
_ROWS = 1 << 18
"""Rows that are read together: what is in memory beside the columns."""
_BASE = len(TASKS) + 1


@dataclass(frozen=True)
class Place:
    """Where the latents of a sample lie: `size` bytes from `offset` of the tar called `shard`."""

    shard: str
    offset: int
    size: int


class Index:
    """The index of a set of latents, read once from Parquet; rows are sorted by key. Immutable, safe for threads."""

    def __init__(self, columns: dict[str, np.ndarray], names: dict[str, list[str]]) -> None:
        """columns: `high`, `low` (halves of the key), `video` (n, 3), `tasks` and those of the file; names: by column.

        Raises ConfigError `latents:index` when a key stands twice.
        """
        if not _is_sorted(columns["high"], columns["low"]):
            order = np.lexsort((columns["low"], columns["high"]))
            columns = {name: column[order] for name, column in columns.items()}
        high, low = columns["high"], columns["low"]
        twice = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
        if twice.any():
            where = int(twice.argmax())
            raise ConfigError("latents:index", f"the index has {_hex(high[where], low[where])} twice: encode again")
        self._columns, self._names = columns, names
        codes, self._task_codes = np.unique(columns["tasks"], return_inverse=True)
        self._task_codes = self._task_codes.astype(np.uint8 if len(codes) < 256 else np.uint16)
        del columns["tasks"]
        self._tasks = [_tasks_of(int(code)) for code in codes]

    @classmethod
    def read(cls, path: AnyPath) -> "Index":
        """Read `index.parquet`, on a disk or in a bucket. Raises ConfigError `latents:index` for what cannot be one."""
        source = str(path) if files.is_local(path) else pa.BufferReader(files.read(path))
        try:
            file = pq.ParquetFile(source, read_dictionary=list(_NAMED), memory_map=files.is_local(path))
            return cls(*_read(file))
        except (pa.ArrowException, KeyError, ValueError, OverflowError) as error:
            raise ConfigError("latents:index", f"{path} cannot be read ({error}): encode again") from error

    @classmethod
    def of(cls, rows: list[dict[str, Any]]) -> "Index":
        """The index of a few rows, each with all columns of the file. Raises ConfigError as `read`."""
        data = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), data)
        return cls(*_read(pq.ParquetFile(pa.BufferReader(data.getvalue()), read_dictionary=list(_NAMED))))

    def __len__(self) -> int:
        return len(self._columns["high"])

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(column.nbytes for column in self._columns.values()) + self._task_codes.nbytes

    def row(self, key: str) -> int | None:
        """The row of a key; None when it is not there."""
        try:
            high, low = int(key[:16], 16), int(key[16:], 16)
        except ValueError:
            return None
        column = self._columns["high"]
        row = int(column.searchsorted(np.uint64(high))) if len(key) == 32 else len(self)
        while row < len(self) and column[row] == high:
            if self._columns["low"][row] == low:
                return row
            row += 1
        return None

    def key(self, row: int) -> str:
        """The key of a row."""
        return _hex(self._columns["high"][row], self._columns["low"][row])

    def place(self, row: int) -> Place:
        """Where the latents of a row lie."""
        c = self._columns
        return Place(self._names["shard"][c["shard"][row]], int(c["offset"][row]), int(c["size"][row]))

    def info(self, row: int) -> SampleInfo:
        """What is known of a row."""
        c = self._columns
        numbers = {name: int(c[name][row]) for name in ("audio", "video_text", "audio_text", "speech")}
        frames, height, width = c["video"][row].tolist()
        return SampleInfo(
            key=self.key(row),
            split=self._names["split"][c["split"][row]],
            audio_class=self._names["audio_class"][c["audio_class"][row]],
            tasks=self._tasks[self._task_codes[row]],
            video=(frames, height, width),
            seconds=float(c["seconds"][row]),
            **numbers,
        )

    def split(self, name: str | None) -> "Rows":
        """The samples of a split, all when None."""
        if name is None:
            return Rows(self, np.arange(len(self), dtype=_row_kind(len(self))))
        wanted = _code(self._names["split"], name)
        return Rows(self, np.flatnonzero(self._columns["split"] == wanted).astype(_row_kind(len(self))))

    def serving(self, rows: np.ndarray, audio_class: str, task: str) -> np.ndarray:
        """Those of `rows` that can serve a capability, in order."""
        able = np.array([task in tasks for tasks in self._tasks], dtype=bool)
        mine = self._columns["audio_class"][rows] == _code(self._names["audio_class"], audio_class)
        return rows[mine & able[self._task_codes[rows]]]

    def sizes(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of `rows` by their names in `SampleInfo`: how much there is of each medium and text."""
        return {name: self._columns[name][rows] for name in ("video", "audio", "video_text", "audio_text", "speech")}

    def counts(self, rows: np.ndarray) -> dict[Capability, int]:
        """How many of `rows` can serve each capability, in sorted order."""
        kinds = len(self._tasks)
        pairs = self._columns["audio_class"][rows].astype(np.int64) * kinds + self._task_codes[rows]
        found: dict[Capability, int] = {}
        for pair in np.flatnonzero(tally := np.bincount(pairs)).tolist():
            for task in self._tasks[pair % kinds]:
                capability = (self._names["audio_class"][pair // kinds], task)
                found[capability] = found.get(capability, 0) + int(tally[pair])
        return dict(sorted(found.items()))


class Rows(Sequence[SampleInfo]):
    """Some rows of an index, sorted by key, as a sequence that makes a `SampleInfo` when one is looked at.

    It also is what a `SampleStream` draws from: `serving`, `key`. rows: int32 or int64 (n,).
    """

    def __init__(self, index: Index, rows: np.ndarray) -> None:
        self.source, self.rows = index, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> SampleInfo: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows": ...
    def __getitem__(self, place: int | slice) -> "SampleInfo | Rows":
        if isinstance(place, slice):
            return Rows(self.source, self.rows[place])
        return self.source.info(int(self.rows[place]))

    def __iter__(self) -> Iterator[SampleInfo]:
        return (self.source.info(int(row)) for row in self.rows)

    def keys(self) -> list[str]:
        """Their keys: a Python object each, so for few."""
        return [self.source.key(int(row)) for row in self.rows]

    def serving(self, audio_class: str, task: str) -> np.ndarray:
        """Rows of the index that can serve a capability: int (m,)."""
        return self.source.serving(self.rows, audio_class, task)

    def key(self, row: int) -> str:
        """The key of a row of the index."""
        return self.source.key(row)

    @cached_property
    def counts(self) -> dict[Capability, int]:
        """How many can serve each capability, in sorted order."""
        return self.source.counts(self.rows)

    def sizes(self) -> dict[str, np.ndarray]:
        """What `SampleInfo` says of each, in columns: video (n, 3), audio, video_text, audio_text, speech (n,)."""
        return self.source.sizes(self.rows)


def _read(file: pq.ParquetFile) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Columns and names, piece by piece: beside the columns only one piece is in memory."""
    count, at = file.metadata.num_rows, 0
    kinds = {"high": np.uint64, "low": np.uint64, "tasks": np.uint16, **_KINDS, **_NAMED}
    columns: dict[str, np.ndarray] = {name: np.empty(count, kind) for name, kind in kinds.items()}
    columns["video"] = np.empty((count, 3), np.uint16)
    names: dict[str, dict[str, int]] = {name: {} for name in _NAMED}
    wanted = ["key", "video", "tasks", *_KINDS, *_NAMED]
    for batch in file.iter_batches(_ROWS, columns=wanted):
        here = slice(at, at := at + batch.num_rows)
        columns["high"][here], columns["low"][here] = _halves(batch["key"])
        columns["tasks"][here] = _task_codes(batch["tasks"])
        columns["video"][here] = _narrow(batch["video"].flatten(), np.uint16).reshape(-1, 3)
        for name, kind in _KINDS.items():
            columns[name][here] = _narrow(batch[name], kind)
        for name in _NAMED:
            columns[name][here] = _codes(batch[name], names[name])
    return columns, {name: list(known) for name, known in names.items()}


def _narrow(column: pa.Array, kind: Any) -> np.ndarray:
    """Raises OverflowError for a number that the kind cannot hold: it would wrap without a word."""
    values = column.to_numpy(zero_copy_only=False)
    if np.issubdtype(kind, np.integer) and len(values):
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError("a number is missing")
        if values.min() < 0 or values.max() > np.iinfo(kind).max:
            raise OverflowError(f"a number of {values.min()} to {values.max()} is not within {np.iinfo(kind)}")
    return np.asarray(values.astype(kind))


def _codes(column: pa.DictionaryArray, known: dict[str, int]) -> np.ndarray:
    """Numbers of names, the same in every piece of the file."""
    if column.null_count:
        raise ValueError("a name is missing")
    numbers = [known.setdefault(name, len(known)) for name in column.dictionary.to_pylist()]
    return np.array(numbers, np.uint32)[column.indices.to_numpy()]


def _task_codes(column: pa.Array) -> np.ndarray:
    """Lists of tasks as numbers of base 6, the first task last; their order is kept."""
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    digits = pc.index_in(column.flatten(), value_set=pa.array(TASKS))
    if column.null_count or digits.null_count or (len(lengths) and lengths.max() > len(TASKS)):
        raise ValueError(f"a sample has other tasks than {TASKS}")
    flat, starts = digits.to_numpy().astype(np.int64) + 1, np.cumsum(lengths) - lengths
    code = np.zeros(len(lengths), np.int64)
    for place in range(int(lengths.max(initial=0))):
        longer = lengths > place
        code[longer] += flat[starts[longer] + place] * _BASE**place
    return code.astype(np.uint16)


def _tasks_of(code: int) -> tuple[str, ...]:
    tasks = []
    while code:
        code, digit = divmod(code, _BASE)
        tasks.append(TASKS[digit - 1])
    return tuple(tasks)


def _halves(keys: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Keys of 32 hex digits as two uint64 (n,). Raises ValueError for others."""
    if len(keys) and (keys.null_count or pc.min_max(pc.binary_length(keys)).as_py() != {"min": 32, "max": 32}):
        raise ValueError("a key is not 32 hex digits")
    if pa.types.is_large_string(keys.type):
        keys = keys.cast(pa.string())
    start = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset] if len(keys) else 0
    text = np.frombuffer(keys.buffers()[2] or b"", np.uint8, 32 * len(keys), int(start))
    nibbles = _NIBBLES[text].reshape(-1, 16, 2)
    if (nibbles > 15).any():
        raise ValueError("a key is not 32 hex digits")
    halves = (nibbles[..., 0] << 4 | nibbles[..., 1]).reshape(-1, 2, 8).view(">u8")[..., 0].astype(np.uint64)
    return halves[:, 0], halves[:, 1]


_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


def _hex(high: np.uint64, low: np.uint64) -> str:
    return f"{int(high):016x}{int(low):016x}"


def _is_sorted(high: np.ndarray, low: np.ndarray) -> bool:
    rising = high[1:] > high[:-1]
    return bool((rising | ((high[1:] == high[:-1]) & (low[1:] >= low[:-1]))).all())


def _code(names: list[str], name: str) -> int:
    return names.index(name) if name in names else -1


def _row_kind(count: int) -> Any:
    return np.int32 if count < 2**31 else np.int64


def unknown(key: str, folder: object, count: int) -> MediaError:
    """The error for a key that is not in a set."""
    return MediaError("latents:key", f"no sample {key!r} in {folder}, which has {count}")
