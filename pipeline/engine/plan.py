"""The plan: which key belongs to which part. Written before any work, never changed, so a part keeps its name.

A plan grows by epochs: keys that a later run wants are planned into new parts, and the old parts stay as they are.
Epoch files are created if absent: of two drivers that plan at once, the second reads what the first wrote.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.files import publish
from manifests.ids import digest
from manifests.schema import PLAN


@dataclass(frozen=True)
class Part:
    """A planned group of keys of one bucket: the unit of leases, commits and files."""

    name: str
    bucket: int
    keys: tuple[bytes, ...]


@dataclass(frozen=True)
class Plan:
    """The parts of one job, in epoch files under `folder`."""

    folder: Path

    def parts(self) -> list[Part]:
        """All planned parts, by name."""
        members: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        for path in sorted(self.folder.glob("epoch-*.parquet")):
            rows = pq.read_table(path, schema=PLAN).to_pydict()
            for key, bucket, part in zip(rows["key"], rows["bucket"], rows["part"], strict=True):
                members[part, bucket].append(key)
        return [Part(name, bucket, tuple(sorted(keys))) for (name, bucket), keys in sorted(members.items())]

    def epochs(self) -> dict[bytes, int]:
        """Planned key -> the epoch that planned it: who was seen first."""
        found: dict[bytes, int] = {}
        for path in sorted(self.folder.glob("epoch-*.parquet")):
            rows = pq.read_table(path, schema=PLAN).to_pydict()
            found |= dict(zip(rows["key"], rows["epoch"], strict=True))
        return found

    def extend(self, wanted: Mapping[bytes, int], part_size: int) -> list[Part]:
        """Plan the wanted keys (key -> bucket) that no epoch has planned yet; all parts, old and new."""
        while new := wanted.keys() - self.epochs().keys():
            epoch = len(list(self.folder.glob("epoch-*.parquet")))
            rows = [row for part in _slice(new, wanted, part_size) for row in _rows(part, epoch)]
            table = pa.Table.from_pylist(rows, schema=PLAN)
            publish(self.folder / f"epoch-{epoch:05d}.parquet", partial(pq.write_table, table))
        return self.parts()


def _slice(keys: Iterable[bytes], buckets: Mapping[bytes, int], size: int) -> list[Part]:
    """Groups of at most `size` keys of one bucket, in key order, as even as can be, named by their content."""
    by_bucket: dict[int, list[bytes]] = defaultdict(list)
    for key in sorted(keys):
        by_bucket[buckets[key]].append(key)
    parts = []
    for bucket, members in sorted(by_bucket.items()):
        pieces = -(-len(members) // size)
        for i in range(pieces):
            piece = members[i * len(members) // pieces : (i + 1) * len(members) // pieces]
            parts.append(Part(f"b{bucket:04x}-{digest(*piece).hex()[:12]}", bucket, tuple(piece)))
    return parts


def _rows(part: Part, epoch: int) -> list[dict]:
    return [{"key": key, "bucket": part.bucket, "part": part.name, "epoch": epoch} for key in part.keys]
