"""Compaction against a model: whatever is published, revised, folded and killed, a table says the same."""

import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import compact, files, folded, parts
from manifests.catalog import Catalog
from manifests.compact import Compacted
from manifests.ids import digest
from manifests.query import connect
from manifests.table import Table

SCHEMA = pa.schema([pa.field("key", pa.binary(16), False), pa.field("value", pa.int32())])
NAMES = [parts.name(1, bytes([n]) * 4, bytes([n + 1]) * 4, digest(n)) for n in range(5)] + ["all", "job-17"]


class Killed(BaseException):
    """Like SIGKILL: no handler of errors may go on after it."""


def row(value):
    return {"key": digest(value), "value": value}


def rows_of(values):
    return sorted(({"key": digest(v), "value": v} for v in values), key=lambda r: r["key"])


def check(catalog, table, model):
    """The table says what the model does, in every way in which it can be asked."""
    assert table.published() == set(model)
    assert table.state() == sorted(f"{name}~{len(v) - 1}" if len(v) > 1 else name for name, v in model.items())
    for name in NAMES:
        assert table.has(name) == (name in model)
        assert not table.publish(name, [row(-1)]) if name in model else True
    for name, versions in model.items():
        assert table.read_part(name).to_pylist() == rows_of(versions[-1])
        found = table.read_keys(name, [digest(v) for v in versions[-1]])
        assert found == {digest(v): row(v) for v in versions[-1]}
    values = sorted(v for versions in model.values() for v in versions[-1])
    assert sorted(table.read()["value"].to_pylist()) == values
    assert sorted(v for (v,) in connect(catalog).execute('SELECT value FROM "t"').fetchall()) == values
    inside = sorted(v for name, versions in model.items() if name[0] == "b" for v in versions[-1])
    assert sorted(table.read_bucket(1)["value"].to_pylist()) == inside


def killing(monkeypatch, after):
    """Storage calls that change something work `after` times, then the process is dead."""
    left = [after]

    def counted(real):
        def call(*arguments, **options):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return call

    for name in ("publish", "remove"):
        monkeypatch.setattr(files, name, counted(getattr(files, name)))


def compact_all(table, keep_s=0.0, most=compact.MOST):
    return [compact.compact(table, bucket, keep_s, most) for bucket in table.buckets()]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(NAMES), st.integers(0, 4)),
        st.tuples(st.just("revise"), st.sampled_from(NAMES), st.integers(0, 4)),
        st.tuples(st.just("compact"), st.sampled_from([0.0, 3600.0]), st.sampled_from([1, 2000, compact.MOST])),
        st.tuples(st.just("kill"), st.integers(0, 6), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(steps=steps, group_rows=st.sampled_from([1, 5, 8_000]))
def test_a_compacted_table_says_the_same(tmp_path_factory, steps, group_rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact, "GROUP_ROWS", group_rows)
        says_the_same(tmp_path_factory, steps)


def says_the_same(tmp_path_factory, steps):
    catalog = Catalog(tmp_path_factory.mktemp("out"))
    table = catalog.set_current(catalog.table("t", "a" * 32, SCHEMA))
    model = {}
    for number, (what, one, two) in enumerate(steps):
        values = [100 * number + i for i in range(two)] if what in {"publish", "revise"} else []
        if what == "publish":
            assert table.publish(one, rows_of(values)) == (one not in model)
            model.setdefault(one, [values])
        elif what == "revise" and one in model:
            table.revise(one, rows_of(values))
            model[one].append(values)
        elif what == "compact":
            compact_all(table, one, two)
        elif what == "kill":
            with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
                killing(patch, one)
                compact_all(table)
                raise Killed  # it was done before the blow came
        check(catalog, table, model)


@pytest.fixture
def filled(tmp_path):
    catalog = Catalog(tmp_path)
    table = catalog.set_current(catalog.table("t", "a" * 32, SCHEMA))
    for number, name in enumerate(NAMES):
        table.publish(name, rows_of([10 * number, 10 * number + 1]))
    return catalog, table, {name: [[10 * n, 10 * n + 1]] for n, name in enumerate(NAMES)}


def names_in(table):
    return sorted(path.name for path in table.folder_of(1).iterdir())


def test_replaced_files_go_only_at_a_later_compaction_and_not_too_soon(filled):
    catalog, table, model = filled
    before = names_in(table)
    reader = connect(catalog)  # listed the loose files
    assert compact_all(table) == [Compacted(2, 1, 0), Compacted(5, 1, 0)]
    assert set(before) < set(names_in(table))
    assert compact_all(table, keep_s=3600.0)[1].removed == 0
    assert len(reader.execute('SELECT * FROM "t"').fetchall()) == 14
    assert compact_all(table)[1] == Compacted(0, 0, 5)
    assert [name.partition("-")[0] for name in names_in(table)] == ["fold", "manifest"]
    check(catalog, table, model)
    assert compact_all(table) == [Compacted(), Compacted()]  # nothing left to do


@pytest.mark.parametrize(("most", "groups"), [(1, [2, 2, 2, 2, 2]), (4, [4, 4, 2]), (8_000, [10])])
def test_a_row_group_of_a_folded_file_has_whole_parts(filled, monkeypatch, most, groups):
    catalog, table, model = filled
    monkeypatch.setattr(compact, "GROUP_ROWS", most)
    compact_all(table)
    held = table.survey(1)
    (name,) = held.manifest.files
    told = pq.ParquetFile(table.folder_of(1) / name).metadata
    assert [told.row_group(i).num_rows for i in range(told.num_row_groups)] == groups
    assert [place.rows for _, place in sorted(held.places.items())] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    check(catalog, table, model)


def test_a_row_group_of_long_texts_is_cut_by_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(compact, "GROUP_BYTES", 3_000)
    parts_of = [pa.table({"text": ["x" * 1_000]}) for _ in range(5)]
    assert [len(group) for group in compact.row_groups(parts_of)] == [3, 2]
    assert list(compact.row_groups([parts_of[0].slice(0, 0)])) == []


def test_a_revision_hides_its_rows_in_the_folded_file(filled):
    catalog, table, model = filled
    compact_all(table)
    table.revise(NAMES[2], rows_of([777]))
    model[NAMES[2]].append([777])
    check(catalog, table, model)
    compact_all(table)
    check(catalog, table, model)
    assert table.survey(1).hidden == [] and table.survey(1).manifest.number == 2


def test_full_files_are_left_alone(filled, monkeypatch):
    _, table, model = filled
    compact_all(table)
    first = table.survey(1).manifest.files
    monkeypatch.setattr(compact, "LEAST", 1)
    table.publish("b0001-new", rows_of([500]))
    table.publish("b0001-newer", rows_of([501]))
    compact_all(table)
    model |= {"b0001-new": [[500]], "b0001-newer": [[501]]}
    assert first.items() < table.survey(1).manifest.files.items()
    assert set(model) == table.published() and sorted(table.read_bucket(1)["value"].to_pylist())[-2:] == [500, 501]


def test_two_at_once_do_no_harm(filled):
    catalog, table, model = filled
    for _ in range(5):
        threads = [threading.Thread(target=compact_all, args=(table,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(catalog, table, model)
        name = NAMES[len(model[NAMES[0]]) % 5]
        table.revise(name, rows_of([1000 + len(model[name])]))
        model[name].append([1000 + len(model[name])])
    check(catalog, table, model)


def test_a_straggler_cannot_bring_back_a_folded_part(filled, monkeypatch):
    catalog, table, model = filled
    compact_all(table)
    compact_all(table)
    monkeypatch.setattr(Table, "has", lambda self, part: False)  # it looked before the part was there
    table.publish(NAMES[0], rows_of([0, 1]))
    monkeypatch.undo()
    check(catalog, table, model)
    assert folded.loose_of(f"{NAMES[0]}.parquet") == (NAMES[0], 0)
