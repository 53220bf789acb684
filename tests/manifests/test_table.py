import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests import parts
from manifests.catalog import Catalog
from manifests.errors import ConfigError, KlearError
from manifests.files import publish, replace
from manifests.query import connect
from manifests.table import Table

SCHEMA = pa.schema([pa.field("key", pa.binary(16), False), pa.field("value", pa.int32())])


def rows(*values):
    return [{"key": bytes([v]) * 16, "value": v} for v in values]


def test_first_writer_wins(tmp_path):
    table = Table(tmp_path, "t", "r" * 32, SCHEMA)
    assert table.publish("b0000-x", rows(2, 1))
    assert not table.publish("b0000-x", rows(9))
    assert table.read().to_pylist() == rows(1, 2)  # sorted by key
    assert table.published() == {"b0000-x"}
    assert [p.name for p in (table.folder / "b0000").iterdir()] == ["b0000-x.parquet"]  # nothing temporary is left


def test_of_many_writers_one_wins(tmp_path):
    wins = []
    path = tmp_path / "file"

    def write(n):
        wins.append(publish(path, lambda file: file.write(bytes([n]) * 100_000)))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wins) == 1
    assert len(set(path.read_bytes())) == 1 and path.stat().st_size == 100_000


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken(file):
        file.write(b"half")
        raise OSError("disk full")

    for function in (publish, replace):
        with pytest.raises(OSError, match="disk full"):
            function(tmp_path / "file", broken)
    assert list(tmp_path.iterdir()) == []


def test_read_keys_opens_only_the_bucket(tmp_path):
    table = Table(tmp_path, "t", "r" * 32, SCHEMA)
    table.publish("b0001-x", rows(1, 2))
    table.publish("b0002-x", rows(3))
    table.path("b0002-x").write_bytes(b"not parquet")
    assert table.read_keys("b0001-x", [b"\x01" * 16]) == {b"\x01" * 16: rows(1)[0]}
    assert table.read_keys("b0007-x", [b"\x01" * 16]) == {}


def test_read_keys_opens_only_the_range(tmp_path):
    table = Table(tmp_path, "t", "r" * 32, SCHEMA)
    near, far = (parts.name(1, bytes([a]) * 4, bytes([b]) * 4, bytes(16)) for a, b in ((0, 4), (5, 9)))
    table.publish(near, rows(1, 2))
    table.publish(far, rows(7))
    table.path(far).write_bytes(b"not parquet")
    assert table.read_keys(near, [b"\x01" * 16]) == {b"\x01" * 16: rows(1)[0]}


def test_a_revision_supersedes(tmp_path):
    table = Table(tmp_path, "t", "r" * 32, SCHEMA)
    table.publish("b0000-x", rows(1, 2))
    table.revise("b0000-x", rows(1, 3))
    assert table.read().to_pylist() == rows(1, 3) == table.read_part("b0000-x").to_pylist()
    table.revise("b0000-x", rows(4))
    assert table.read().to_pylist() == rows(4) and table.published() == {"b0000-x"} and table.state() == ["b0000-x~2"]


def test_amending_reads_again_what_someone_else_revised_meanwhile(tmp_path):
    table = Table(tmp_path, "t", "r" * 32, SCHEMA)
    table.publish("b0000-x", rows(1, 2))
    met = []

    def without_one(old):
        if not met:  # someone else is faster, once
            table.revise("b0000-x", rows(1, 2, 3))
        met.append(len(old))
        return [row for row in old.to_pylist() if row not in rows(1)]

    table.amend("b0000-x", without_one)
    assert table.read().to_pylist() == rows(2, 3) and met == [2, 3] and table.state() == ["b0000-x~2"]
    table.amend("b0000-x", lambda old: None)
    assert table.state() == ["b0000-x~2"]
    with pytest.raises(KlearError, match="revised by others") as caught:
        table.amend("b0000-x", lambda old: table.revise("b0000-x", rows(9)) or rows(1))
    assert caught.value.code == "table:contended" and table.read().to_pylist() == rows(9)


def test_catalog_points_at_the_current_recipe(tmp_path):
    catalog = Catalog(tmp_path)
    with pytest.raises(ConfigError, match="run `klear ingest` first"):
        catalog.require("t", "ingest")
    for recipe, value in (("a" * 32, 1), ("b" * 32, 2)):
        table = catalog.set_current(catalog.table("t", recipe, SCHEMA))
        table.publish("b0000-x", rows(value))
    assert catalog.require("t", "ingest").read().to_pylist() == rows(2)
    assert catalog.names() == ["t"]
    assert connect(catalog).execute('SELECT value FROM "t"').fetchall() == [(2,)]


def test_an_empty_table_has_its_columns(tmp_path):
    catalog = Catalog(tmp_path)
    table = catalog.set_current(catalog.table("t", "a" * 32, SCHEMA))
    assert table.read().schema == SCHEMA
    assert connect(catalog).execute('SELECT count(value) FROM "t"').fetchall() == [(0,)]


def test_publish_is_readable_by_others(tmp_path):
    table = Table(tmp_path, "t", "r" * 32, SCHEMA)
    table.publish("p", rows(5))
    assert pq.read_table(table.path("p")).schema.names == ["key", "value"]
