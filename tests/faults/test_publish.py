"""Death by SIGKILL before and after every publish, and at random moments; started again, the run ends the same."""

import random

import pytest

from tests.faults import results
from tests.faults.conftest import JOBS
from tests.faults.same import differences

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]

SHARES = {"ingest": 0.1, "filter": 0.1, "annotate": 0.1, "decide": 1.0, "shard": 0.5}
"""Of all publishes of a run (130 or so): those before and after which it dies in the short form."""
MOMENTS = 60 if results.FULL else 6


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_death_before_and_after_every_publish(lone, undisturbed, tmp_path, tally, job):
    """One run after another dies at the first publish where none died before, until one comes through."""
    out = undisturbed.before(job, tmp_path / "out")
    deaths, share = 0, 1.0 if results.FULL else SHARES[job]
    while (answer := lone.run(out, [job], died=tmp_path / "died", share=share))["signal"]:
        deaths += 1
    assert answer["error"] is None, answer["error"]
    assert deaths == len((tmp_path / "died").read_text().splitlines())
    tally(f"kill -9 before and after publishes of {job}", deaths, differences(out, undisturbed.after(job)))
    if results.FULL:
        lone.finish(out, JOBS[JOBS.index(job) + 1 :])
        tally(f"the rest of the run, after that in {job}", deaths, differences(out, undisturbed.after("shard")))


@pytest.mark.slow
def test_death_at_random_moments(lone, undisturbed, tmp_path, tally):
    """Each life is short: from nothing to a few times what the whole run takes undisturbed, if it takes 4 s."""
    draw = random.Random(20261123)
    out, left, deaths = tmp_path / "out", list(JOBS), 0
    while deaths < MOMENTS and left:
        answer = lone.run(out, left, kill_s=draw.uniform(0, 5))
        assert answer["error"] is None, answer["error"]
        deaths += answer["signal"] != 0
        left = left[len(answer["done"]) :] or list(JOBS)
    lone.finish(out, JOBS)
    tally("kill -9 of a run at random moments", deaths, differences(out, undisturbed.after("shard")))


@pytest.mark.slow
def test_another_clock_changes_nothing(lone, undisturbed, tmp_path, tally):
    """Half of the run happens a year later than the other half, on a machine whose clock was wrong."""
    lone.finish(tmp_path, ["ingest", "filter"], shift_s=-4e7)
    lone.finish(tmp_path, JOBS, shift_s=4e7)
    tally("clock set back and ahead by a year", 2, differences(tmp_path, undisturbed.after("shard")))
