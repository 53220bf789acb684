"""`kill -9` of the driver, of actors, of hands, of the raylet, of all at once, in a real session at a publish."""

import itertools
import subprocess
import sys

import pytest

from tests.faults import results
from tests.faults.conftest import JOBS, sabotaged
from tests.faults.orders import kill, parent_of, start, wait_for
from tests.faults.same import differences

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

TARGETS = {
    "ingest": r"/clips/.*\.parquet$",
    "filter": r"/audio\.fidelity/.*\.parquet$",
    "annotate": r"/compose\.texts/.*\.parquet$",
    "shard": r"/shard-\d+\.tar$",
}
# In the short form hands die in `test_storm` alone.
CHOSEN = [
    ("all of it", "ingest", "before"),
    ("actor", "filter", "after"),
    ("driver", "annotate", "before"),
    ("raylet", "shard", "after"),
]
WHOM = ("all of it", "actor", "hand", "driver", "raylet")
CASES = list(itertools.product(WHOM, TARGETS, ("before", "after"))) if results.FULL else CHOSEN


def victims(whom, orders, run, actor):
    """Process ids. actor: of the one that stands at the publish."""
    if whom == "hand":
        return [pid for pid in orders.processes("pipeline.engine.serve") if parent_of(pid) == actor]
    if whom == "raylet":
        return orders.processes("raylet/raylet")
    return {"actor": [actor], "driver": [run.pid]}.get(whom) or orders.processes()


def command(job, out, sources, preset):
    argv = [sys.executable, "-m", "pipeline.cli", job, "--out", out, "--preset", preset]
    return [*argv, *(["--source", sources] if job == "ingest" else [])]


@pytest.mark.parametrize(("whom", "job", "when"), CASES)
def test_killed_at_a_publish(
    undisturbed, small_sources, small_preset, tmp_path, tally, orders, whom, job, when
):  # fmt: skip
    out, log = undisturbed.before(job, tmp_path / "out"), tmp_path / "log"
    argv = command(job, out, small_sources, small_preset)
    env = sabotaged(KLEAR_ORDERS=orders.folder)
    orders.give("one", TARGETS[job], when, role="actor")
    run = start(argv, env, log)
    found = victims(whom, orders, run, orders.taken("one", run))
    assert found
    for pid in found:
        kill(pid)
    if whom != "driver":  # its orphan stays at the publish until the next driver is at work
        orders.let_go("one")
    if whom in {"actor", "hand"}:
        assert run.wait(600) == 0, log.read_text()
    else:
        assert run.wait(600) != 0
        orders.give("two", r".", "before", role="driver")
        again = start(argv, env, log)
        orders.taken("two", again)
        orders.let_go("one")
        orders.let_go("two")
        assert again.wait(600) == 0, log.read_text()
    if whom in {"driver", "raylet"}:
        wait_for(lambda: not orders.processes(), "a killed run left processes behind")
    tally(f"kill -9 of {whom} {when} a publish", 1, differences(out, undisturbed.after(job)))


def test_commands_give_what_jobs_alone_give(undisturbed, small_sources, small_preset, tmp_path):
    """The reference of all fault tests is made without Ray: a run with it, by the command line, is the same."""
    if not results.FULL:
        pytest.skip("in the long form only: it is what the other tests compare with, piece by piece")
    for job in JOBS:
        subprocess.run(map(str, command(job, tmp_path, small_sources, small_preset)), check=True)
    assert not differences(tmp_path, undisturbed.after("shard"))
