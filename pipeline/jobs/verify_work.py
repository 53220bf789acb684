"""The work of verifying one shard: hash it, count it, compare it with its index, read and decode its samples."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests import files
from manifests.catalog import Catalog
from manifests.errors import KlearError
from manifests.files import AnyPath
from manifests.ids import unit
from manifests.table import Table
from media.decoded import decoded
from pipeline.engine.job import Rows
from pipeline.engine.plan import Part
from pipeline.engine.stopwatch import timed
from pipeline.jobs import tars
from pipeline.jobs.erase import Gone, keys_in

VERIFIED = pa.schema(
    [
        pa.field("shard", pa.string(), False),
        pa.field("generation", pa.string(), False),
        pa.field("status", pa.string(), False),  # ok | damaged
        pa.field("problems", pa.list_(pa.string()), False),
        pa.field("samples", pa.int32(), False),
        pa.field("decoded", pa.int32(), False),
    ]
)
FOUND = "_found"
"""An entry of Rows that is no table: {problem} of a sample, and {decoded} when it was decoded."""
NAMED = 20
"""Problems of one shard that are listed; the rest are counted."""


@dataclass
class VerifyWorker:
    """Verifies shards. samples, shards: the index of the generation. share: of samples to decode, and one a shard."""

    catalog: Catalog
    samples: Table
    shards: Table
    folder: AnyPath
    generation: str
    share: float

    def keys(self, part: Part) -> Sequence[bytes]:
        """Samples that the index says are in the shard."""
        return [row["clip_id"] for row in self._rows(part)]

    @contextmanager
    def open(self, part: Part) -> Iterator[None]:
        """Nothing to hold."""
        yield

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """What is wrong with each sample."""
        rows = {row["clip_id"]: row for row in self._rows(part)}
        for place, key in enumerate(keys):
            chosen = self.share > 0 and (place == 0 or unit(key, "verify") < self.share)
            yield timed("verify", self._sample, rows[key], chosen)

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """A sample that ends the process that decodes it."""
        return {FOUND: [{"problem": f"sample {key.hex()}: decoding it ends in {error.code}"}]}

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """The row of the shard."""
        found = [entry for rows in done.values() for entry in rows.get(FOUND, [])]
        problems = [*self._shard(part), *(entry["problem"] for entry in found if "problem" in entry)]
        problems = [
            text.encode("utf-8", "backslashreplace").decode() for text in problems
        ]  # JSON may hold half characters
        row = {
            "generation": self.generation,
            "shard": f"{part.name}.tar",
            "status": "damaged" if problems else "ok",
            "problems": problems[:NAMED] + ([f"and {len(problems) - NAMED} more"] if len(problems) > NAMED else []),
            "samples": len(done),
            "decoded": sum("decoded" in entry for entry in found),
        }
        return {"verified": [row]}

    def _rows(self, part: Part) -> list[dict[str, Any]]:
        rows = self.samples.read_part(part.name).to_pylist() if self.samples.has(part.name) else []
        return [row for row in rows if row["shard"] is not None]

    def _shard(self, part: Part) -> Iterator[str]:
        """What is wrong with the shard as a whole."""
        path = self.folder / f"{part.name}.tar"
        if not self.shards.has(part.name) or not self.samples.has(part.name):
            yield "it is not in the index: run `klear shard`"
            return
        (told,) = self.shards.read_part(part.name).to_pylist()
        rows = self._rows(part)
        try:
            packed = tars.read_back(path)
        except FileNotFoundError:
            yield "it is missing"
            return
        except tars.Damaged as error:
            yield error.message
            return
        except OSError as error:
            yield f"it cannot be read: {error}"
            return
        if packed.sha256 != told["sha256"]:
            yield f"its sha256 is {packed.sha256}, not {told['sha256']}"
        if packed.bytes != told["bytes"]:
            yield f"it has {packed.bytes} bytes, not {told['bytes']}"
        if len(packed.places) != told["count"] or told["count"] != len(rows):
            yield f"it holds {len(packed.places)} samples; its row says {told['count']}, the samples' rows {len(rows)}"
        yield from _members(packed, rows)
        for key in sorted(keys_in(self.samples.read_part(part.name), Gone(self.catalog))):
            yield f"sample {key.hex()} is taken down: run `klear takedown`"

    def _sample(self, row: Mapping[str, Any], decode: bool) -> Rows:
        name, path = row["clip_id"].hex(), self.folder / row["shard"]
        try:
            data = files.read_range(path, row["offset"], row["size"])
        except FileNotFoundError:
            return {}  # said of the shard
        told, mp4 = tars.member(data, f"{name}.json"), tars.member(data, f"{name}.mp4")
        if told is None or mp4 is None:
            return _said(name, "its JSON and its MP4 are not where the index says")
        try:
            found = [*_json(row, told), *_mp4(row, mp4, decode)]
        except KlearError as error:
            found = [f"it cannot be decoded: {error.code}: {error.message}"]
        rows = _said(name, *found)
        return {FOUND: [*rows[FOUND], {"decoded": True}]} if decode else rows


def _said(name: str, *problems: str) -> Rows:
    return {FOUND: [{"problem": f"sample {name}: {problem}"} for problem in problems]}


def _members(packed: tars.Packed, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Members that the index does not explain, and samples out of place."""
    expected = [f"{row['clip_id'].hex()}.{kind}" for row in rows for kind in ("json", "mp4")]
    extra, absent = set(packed.names) - set(expected), set(expected) - set(packed.names)
    if extra:
        yield f"members that no row names: {', '.join(sorted(extra)[:5])}"
    if absent:
        yield f"members that are not there: {', '.join(sorted(absent)[:5])}"
    if not extra and not absent and list(packed.names) != expected:
        yield "its members are repeated or out of order"


def _json(row: Mapping[str, Any], data: bytes) -> list[str]:
    try:
        told = json.loads(data)
        said = {name: (told[name], row[name]) for name in ("frames", "split")}
        said["clip_id"] = (told["clip_id"], row["clip_id"].hex())
        return [f"its JSON says {n} {str(now)[:80]}, the index {was}" for n, (now, was) in said.items() if now != was]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        return [f"its JSON does not say what it must: {type(error).__name__}: {error}"]


def _mp4(row: Mapping[str, Any], data: bytes, decode: bool) -> Iterator[str]:
    if row["mp4_sha256"] and hashlib.sha256(data).hexdigest() != row["mp4_sha256"]:
        yield "its MP4 has another hash than when it was encoded"
    if not decode:
        return
    frames, samples, complaint = decoded(data)
    if complaint:
        yield f"decoding it complains: {complaint[-200:]}"
    if (frames, samples) != (row["frames"], row["audio_samples"]):
        yield f"it decodes to {frames} frames and {samples} samples, not {row['frames']} and {row['audio_samples']}"
