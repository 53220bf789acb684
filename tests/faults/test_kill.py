"""`kill -9` of a whole run, in the middle of any job; started again, it ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from manifests.catalog import Catalog
from pipeline.jobs import status

pytestmark = pytest.mark.faults


def command(*arguments):
    return [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]


def jobs(out, sources, preset):
    yield command("ingest", "--out", out, "--preset", preset, "--source", sources)
    for name in ("filter", "annotate", "decide", "shard"):
        yield command(name, "--out", out, "--preset", preset)


def kill_when(argv, folder, pattern):
    """Start, wait until a file of that pattern is published, kill the whole process group. True when it was killed."""
    run = subprocess.Popen(argv, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while run.poll() is None and time.monotonic() < deadline:
        if list(folder.glob(pattern)):
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            return True
        time.sleep(0.01)
    return False


def shards_of(out):
    return [(row["name"], row["sha256"]) for row in status.of(Catalog(out))["shards"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, small_sources, small_preset):
    out = tmp_path_factory.mktemp("undisturbed")
    for argv in jobs(out, small_sources, small_preset):
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
    return out


@pytest.mark.parametrize(
    ("job", "pattern"),
    [
        ("filter", "tables/audio.loudness/*/b*.parquet"),
        ("annotate", "tables/caption.audio_template/*/b*.parquet"),
        ("shard", "shards/g0001/shard-*.tar"),
    ],
)
def test_killed_and_started_again_gives_the_same_bytes(
    tmp_path, undisturbed, small_sources, small_preset, job, pattern
):
    killed = False
    for argv in jobs(tmp_path, small_sources, small_preset):
        if argv[3] == job:
            killed = kill_when(argv, tmp_path, pattern)
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
    assert killed
    assert shards_of(tmp_path) == shards_of(undisturbed)
    found = status.of(Catalog(tmp_path))
    assert found["clips"] == status.of(Catalog(undisturbed))["clips"]
    for name in Catalog(tmp_path).names():
        if name != "events":
            one, two = (Catalog(out).require(name, "") for out in (tmp_path, undisturbed))
            assert one.read().to_pylist() == two.read().to_pylist(), name
