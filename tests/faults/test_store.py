"""A store that fails: now and then, because it is full, because it may not be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.catalog import Catalog
from pipeline.jobs import status
from tests.faults.same import differences

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from manifests.errors import KlearError
from manifests.files import root
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, decide, filter, ingest, shard
out, preset, source = sys.argv[1:4]
context = Context(root(out), load(preset, []))
steps = {
    "ingest": lambda: ingest.run(context, [source]),
    "filter": lambda: filter.run(context),
    "annotate": lambda: annotate.run(context),
    "decide": lambda: decide.run(context),
    "shard": lambda: shard.run(context),
}
try:
    for name in sys.argv[4:]:
        steps[name]()
except KlearError as error:
    sys.exit(f"{error.code}: {error.message}")
"""
ALL = ("ingest", "filter", "annotate", "decide", "shard")


def run(out, preset, source, *steps, **env):
    """These jobs in a process of their own."""
    argv = [sys.executable, "-c", RUN, out, preset, source, *(steps or ALL)]
    path = os.pathsep.join(filter(None, [env.pop("PYTHONPATH", ""), str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        list(map(str, argv)), env={**os.environ, **env, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def content(out):
    """All tables but the events, as sorted rows, and the shards."""
    catalog = Catalog(out)
    names = [name for name in catalog.names() if name != "events"]
    tables = {name: sorted(catalog.require(name, "").read().to_pylist(), key=str) for name in names}
    return tables, [(row["name"], row["sha256"]) for row in status.of(catalog)["shards"]], tars(out)


def tars(out):
    return {path.name: path.read_bytes() for path in (out / "shards").rglob("*.tar")}


def torn(out):
    """Temporary files that were left behind."""
    return [path for path in out.rglob(".*.tmp")]


@pytest.fixture(scope="module")
def calm(tmp_path_factory, small_preset, small_sources):
    out = tmp_path_factory.mktemp("calm") / "out"
    done = run(out, small_preset, small_sources)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_store_that_fails_one_call_in_twenty(calm, tmp_path, small_preset, small_sources, tally):
    log = tmp_path / "failed"
    env = {"PYTHONPATH": str(ROOT / "tests/faults/flaky"), "FLAKY_SHARE": "0.05", "FLAKY_LOG": str(log)}
    done = run(tmp_path / "out", small_preset, small_sources, **env)
    assert done.returncode == 0, done.stderr
    assert log.stat().st_size >= 10
    assert content(tmp_path / "out") == content(calm)
    assert torn(tmp_path / "out") == []
    tally("5% of the calls of our storage layer fail", log.stat().st_size, differences(tmp_path / "out", calm))


@pytest.fixture
def mount(tmp_path):
    """Mounts at a folder of the test: `mount("-t", "tmpfs", ...)`. Only root may."""
    place = tmp_path / "mounted"
    place.mkdir()

    def call(*options):
        done = subprocess.run(["mount", *options, place], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        return place

    yield call
    subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def unsharded(calm, place):
    """A copy of the run as it was before its shards."""
    shutil.copytree(calm, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("shards*", "samples*", "release*"))


@pytest.mark.timeout(900)
def test_a_full_disk_is_said_and_survived(calm, tmp_path, mount, small_preset, small_sources, tally):
    place = mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")
    unsharded(calm, place)
    used = shutil.disk_usage(place).used
    mount("-t", "tmpfs", "-o", f"remount,size={used + 300_000}", "tmpfs")
    done = run(place, small_preset, small_sources, "shard")
    assert done.returncode != 0 and "store:full: no space left to write" in done.stderr
    assert torn(place) == []
    for path in tars(place).items():
        assert path in tars(calm).items()
    mount("-t", "tmpfs", "-o", "remount,size=64m", "tmpfs")
    done = run(place, small_preset, small_sources, "shard")
    assert done.returncode == 0, done.stderr
    assert content(place) == content(calm)
    tally("a full disk", 1, differences(place, calm))


@pytest.mark.timeout(900)
def test_a_store_that_may_not_be_written(calm, tmp_path, mount, small_preset, small_sources, tally):
    place = mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")
    unsharded(calm, place)
    mount("-o", "remount,ro")
    before = sorted(place.rglob("*"))
    done = run(place, small_preset, small_sources, "shard")
    assert done.returncode != 0 and "store:read_only" in done.stderr
    assert sorted(place.rglob("*")) == before
    mount("-o", "remount,rw")
    done = run(place, small_preset, small_sources, "shard")
    assert done.returncode == 0, done.stderr
    assert content(place) == content(calm)
    tally("a read-only output", 1, differences(place, calm))
