"""A takedown that ends at any of its writes, before or after it, is finished by the next one with the same bytes."""

import shutil

import pytest

from manifests import files
from pipeline.context import Context
from pipeline.jobs import takedown
from tests.faults.same import Differences, differences

pytestmark = pytest.mark.faults


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def content(context):
    """Shards by name, and all tables but the events, as sorted rows."""
    names = [name for name in context.catalog.names() if name != "events"]
    tables = {name: sorted(context.catalog.require(name, "").read().to_pylist(), key=str) for name in names}
    tars = {path.name: path.read_bytes() for path in (context.out / "shards").rglob("*.tar")}
    return tables, tars


def writes(monkeypatch, before, after):
    """Have `before` and `after` called around every write to the store."""
    for name in ("_link", "_swap"):
        real = getattr(files, name)

        def wrapped(path, write, real=real):
            before()
            found = real(path, write)
            after()
            return found

        monkeypatch.setattr(files, name, wrapped)


@pytest.mark.timeout(1200)
def test_a_takedown_killed_at_any_write(released, one_by_one, tmp_path, monkeypatch, tally):
    released, _ = released
    source = released.catalog.require("clips", "").read()["source_id"][0].as_py().hex()
    calm = _copy(released, tmp_path / "calm")
    count = [0]
    with monkeypatch.context() as patch:
        writes(patch, lambda: None, lambda: count.__setitem__(0, count[0] + 1))
        takedown.run(calm, "source", source, "why")
    assert count[0] >= 6
    wanted, found = content(calm), Differences()
    for place in range(count[0]):
        for late in (False, True):
            rough = _copy(released, tmp_path / f"rough-{place}-{late}")
            left = [place]

            def die(here, late=late, left=left):
                if here == late:
                    left[0] -= 1
                    if left[0] < 0:
                        raise Killed

            with monkeypatch.context() as patch, pytest.raises(Killed):
                writes(patch, lambda die=die: die(False), lambda die=die: die(True))
                takedown.run(rough, "source", source, "why")
            takedown.run(rough, "source", source, "why")
            assert content(rough) == wanted, (place, late)
            found = found or differences(rough.out, calm.out)
            shutil.rmtree(rough.out)
    tally("a takedown killed before or after a write", 2 * count[0], found)


def _copy(context, out):
    shutil.copytree(context.out, out)
    return Context(out, context.settings)
