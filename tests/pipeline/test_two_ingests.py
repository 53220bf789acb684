"""Two drivers that ingest into one folder at once: what one of them finds is not lost to the other."""

import shutil

import pytest

from manifests.query import connect
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import ingest, takedown
from pipeline.sources import find, listing
from pipeline.sources.store import Store


@pytest.fixture
def context(tmp_path, small_preset, one_by_one):
    return Context(tmp_path / "out", load(str(small_preset), ["engine.max_error_rate=1.0"]))


@pytest.fixture
def folders(tmp_path, small_sources):
    found = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(found):
        folder.mkdir()
        shutil.copy(small_sources / f"clip{number}.mp4", folder)
    return found


def during(monkeypatch, name, other):
    """Have `other` run once, while the table of that name is asked for, before it is made current."""
    publish, pending = ingest.publish_by_bucket, [other]

    def slow(con, sql, table, *rest):
        publish(con, sql, table, *rest)
        if table.name == name and pending:
            pending.pop()()

    monkeypatch.setattr(ingest, "publish_by_bucket", slow)


@pytest.mark.parametrize("name", ["canonical", "sources"])
def test_a_driver_that_ends_while_another_asks(context, folders, monkeypatch, name):
    during(monkeypatch, name, lambda: ingest.run(context, folders[1:]))
    result = ingest.run(context, folders[:1])
    assert (result["sources"], result["ok"], result["pending"], result["clips"]) == (2, 2, 0, 4)


@pytest.mark.parametrize("name", ["taken", "canonical", "sources"])
def test_a_takedown_while_an_ingest_asks(context, folders, monkeypatch, name):
    """What is taken down stays so, though the ingest has read its inputs before."""
    ingest.run(context, folders)
    takedown.run(context, "source", str(folders[0] / "clip0.mp4"), "asked for")
    other = lambda: takedown.run(context, "source", str(folders[1] / "clip1.mp4"), "asked for")  # noqa: E731
    during(monkeypatch, name, other)
    shutil.copy(folders[0] / "clip0.mp4", folders[0] / "more.mp4")
    result = ingest.run(context, folders)
    assert (result["ok"], result["clips"], result["ineligible"]) == (0, 0, 3)


@pytest.mark.parametrize("said", [("MIT", ""), ("", "MIT"), ("MIT", "Apache-2.0"), ("Apache-2.0", "MIT")])
def test_of_two_lists_at_once_the_same_one_stands(context, tmp_path, small_sources, monkeypatch, said):
    """Both list the same source before either sees the other: two rows of one revision."""
    lists = []
    for number, licence in enumerate(said):
        lists.append(tmp_path / f"{number}.csv")
        lists[-1].write_text(f"url,licence\nhttp://127.0.0.1:9/a.mp4,{licence}\n")
    new, second = listing._new, [lists[1]]

    def slow(con, found, listed):
        answer = new(con, found, listed)
        if second:
            listing.write(context.catalog, find.rows([second.pop()], Store()), 0)
        return answer

    monkeypatch.setattr(listing, "_new", slow)
    listing.write(context.catalog, find.rows(lists[:1], Store()), 0)
    sql = f"SELECT licence, revision FROM listing ORDER BY {listing.NEWEST_NOTES}"
    stands = connect(context.catalog).execute(sql).fetchall()
    assert len(stands) == 2 and stands[0] == (min(name for name in said if name), 0)
    again = listing.write(context.catalog, find.rows([lists[said.index(stands[0][0])]], Store()), 0)
    assert len(again.read()) == 2
