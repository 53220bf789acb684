"""Hands killed again and again, also while a key is alone: healthy clips are never quarantined for it."""

import random
import threading
import time

import pytest

from tests.faults import results
from tests.faults.orders import Orders, kill
from tests.faults.same import differences

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

DEATHS = 60 if results.FULL else 5
SPARED = 4
"""One hand in so many lives: a key that loses five processes of its own to SIGKILL, alone, is given up."""


def storm(orders, over, done):
    """Kill hands at random moments of their lives, three of four, until there were DEATHS or the run is over."""
    draw = random.Random(7)
    met = set()
    while not over.is_set() and len(done) < DEATHS:
        for pid in set(orders.processes("pipeline.engine.serve")) - met:
            met.add(pid)
            if len(met) % SPARED:
                over.wait(draw.uniform(0, 4))  # into its imports, or into its work
                kill(pid)
                done.append(pid)
        time.sleep(0.1)


def to_the_end(lone, out, jobs, env):
    """Run the jobs, again where too many hands in a row died before they were ready: then a job stops and says so."""
    for _ in range(DEATHS):
        answer = lone.run(out, jobs, hands="real", env=env)
        if answer["error"] is None:
            return
        assert answer["error"][0] == "engine:hand", answer
    raise AssertionError(f"stopped {DEATHS} times")


def test_hands_die_at_random_moments(lone, undisturbed, tmp_path, tally):
    (tmp_path / "orders").mkdir()
    orders, over, done = Orders(tmp_path / "orders"), threading.Event(), []
    killer = threading.Thread(target=storm, args=(orders, over, done))
    killer.start()
    try:
        out = undisturbed.before("filter", tmp_path / "out")
        rounds = 0
        while len(done) < DEATHS and rounds < DEATHS:
            to_the_end(lone, out, ["filter", "annotate"], {"KLEAR_ORDERS": str(orders.folder)})
            found = differences(out, undisturbed.after("annotate"))
            rounds += 1
            out = undisturbed.before("filter", tmp_path / f"out{rounds}")
            if found:
                break
    finally:
        over.set()
        killer.join()
    tally("kill -9 of hands at random moments, alone too", len(done), found)
