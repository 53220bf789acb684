"""Two drivers on one folder, started at once, or one overtaken by the other: both end well, every row is there once."""

import pytest

from tests.faults import results
from tests.faults.conftest import JOBS, sabotaged
from tests.faults.orders import start
from tests.faults.same import differences
from tests.faults.test_kill import TARGETS, command

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("job", JOBS if results.FULL else ["ingest"])
def test_started_at_once(undisturbed, small_sources, small_preset, tmp_path, tally, orders, job):
    out, env = undisturbed.before(job, tmp_path / "out"), sabotaged(KLEAR_ORDERS=orders.folder)
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    runs = [start(command(job, out, small_sources, small_preset), env, log) for log in logs]
    ended = [run.wait(900) for run in runs]
    assert ended == [0, 0], "\n".join(log.read_text() for log in logs)
    tally("two drivers started at once", 1, differences(out, undisturbed.after(job)))


@pytest.mark.parametrize("job", sorted(TARGETS) if results.FULL else ["shard"])
@pytest.mark.parametrize("when", ["before", "after"] if results.FULL else ["before"])
def test_overtaken_at_a_publish(undisturbed, small_sources, small_preset, tmp_path, tally, orders, job, when):
    out, env = undisturbed.before(job, tmp_path / "out"), sabotaged(KLEAR_ORDERS=orders.folder)
    argv, log = command(job, out, small_sources, small_preset), tmp_path / "log"
    orders.give("one", TARGETS[job], when, role="actor")
    first = start(argv, env, log)
    orders.taken("one", first)
    second = start(argv, env, log)
    assert second.wait(900) == 0, log.read_text()
    overtaken = differences(out, undisturbed.after(job))
    orders.let_go("one")
    assert first.wait(900) == 0, log.read_text()
    tally(f"a driver overtaken by another {when} its publish", 1, overtaken or differences(out, undisturbed.after(job)))
