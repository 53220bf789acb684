"""Whether a disturbed run ended like the undisturbed one: rows and bytes counted, not just compared."""

import hashlib
import tarfile
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from manifests.catalog import Catalog

APART = {"events"}
"""Tables that tell of the run, not of the content."""
COUNTING = {"shards"}
PLACES = {"release": {"recipe"}, "samples": {"recipe", "offset"}}
"""What depends on which clips there are: a table, and columns."""


@dataclass
class Differences:
    """What a run lacks, has twice, and has otherwise; `healthy` counts rows quarantined that should be well."""

    lost: int = 0
    duplicated: int = 0
    differing: int = 0
    healthy: int = 0
    what: list[str] = field(default_factory=list)

    @property
    def counts(self):
        """The four numbers by name."""
        return {name: value for name, value in asdict(self).items() if name != "what"}

    def __bool__(self):
        return any(self.counts.values())


def differences(out, reference, spared=frozenset()):
    """Compare the content of two output folders: current tables, plans, and every tar's bytes.

    spared: hex ids of clips and sources whose rows are left out, because something was done to them on purpose. Then
    what depends on which clips there are is left out too, and the tars are compared sample by sample.
    """
    found = Differences()
    names = {*Catalog(out).names(), *Catalog(reference).names()} - APART - (COUNTING if spared else set())
    for name in sorted(names):
        _compare(found, name, _rows(out, name, spared), _rows(reference, name, spared))
    if not spared:
        _compare(found, "plan", _plan(out), _plan(reference))
    tars, wanted = (_tars(folder) if not spared else _samples(folder, spared) for folder in (out, reference))
    for name in sorted({name for name, _ in tars.items() ^ wanted.items()}):
        found.differing += 1
        found.what.append(f"{name}: {'other bytes' if name in tars and name in wanted else 'missing or new'}")
    return found


def _compare(found, name, ours, theirs):
    """Rows by key, each a Counter of texts."""
    for key in ours.keys() | theirs.keys():
        mine, its = ours.get(key, Counter()), theirs.get(key, Counter())
        more = mine.total() - its.total()
        found.lost += max(0, -more)
        found.duplicated += max(0, more)
        found.differing += mine != its and not more
        found.healthy += max(0, _quarantined(mine) - _quarantined(its))
        if mine != its:
            found.what.append(f"{name} {key}: {dict(mine)} for {dict(its)}")


def _quarantined(rows):
    return sum(count for text, count in rows.items() if "'quarantined'" in text)


def _rows(out, name, spared):
    table = Catalog(out).current(name)
    found = defaultdict(Counter)
    for row in table.read().to_pylist() if table else []:
        if not spared & {value.hex() for value in row.values() if isinstance(value, bytes)}:
            left_out = PLACES.get(name, set()) if spared else set()
            kept = sorted((column, value) for column, value in row.items() if column not in left_out)
            found[str(row[table.schema.names[0]])][str(kept)] += 1
    return found


def _plan(out):
    found = defaultdict(Counter)
    for path in sorted((Path(out) / "tables" / "plan").rglob("*.parquet")):
        if path.name[0] != ".":
            rows = pq.read_table(path).to_pylist()
            found[str(path.relative_to(out))].update(str(sorted(row.items())) for row in rows)
    return found


def _tars(out):
    paths = [path for path in Path(out).rglob("*.tar") if path.name[0] != "."]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _samples(out, spared):
    """Member name -> digest of its bytes, of the samples that are not spared."""
    found = {}
    for path in Path(out).rglob("*.tar"):
        if path.name[0] != ".":
            with tarfile.open(path) as tar:
                for member in tar:
                    if member.name.partition(".")[0] not in spared:
                        data = tar.extractfile(member).read()
                        found[f"{path.name}/{member.name}"] = hashlib.sha256(data).hexdigest()
    return found
