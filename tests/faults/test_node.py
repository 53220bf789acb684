"""A head and two workers, a real cluster: a worker dies in the middle of filter, one in that of shard; same bytes."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import sabotaged
from tests.faults.orders import Orders, start
from tests.faults.same import differences

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


def test_whole_nodes_die_at_a_publish(cluster, undisturbed, lone, small_preset, tmp_path, tally):
    (tmp_path / "orders").mkdir()
    orders, out, log = Orders(tmp_path / "orders"), undisturbed.before("filter", tmp_path / "out"), tmp_path / "log"
    watched = sabotaged(KLEAR_ORDERS=orders.folder)
    cluster.env |= {name: watched[name] for name in ("PYTHONPATH", "KLEAR_ORDERS")}
    cluster.add(cpus=0)  # the head: it has no room for actors, so whoever comes to a publish is on a worker
    with ThreadPoolExecutor(2) as pool:
        workers = list(pool.map(lambda _: cluster.add(), range(2)))

    def killed_in(job, target, when):
        orders.give(job, target, when, role="actor")
        argv = [sys.executable, "-m", "pipeline.cli", job, "--out", out, "--preset", small_preset]
        run = start([*argv, "--address", cluster.address], cluster.env, log)
        pid = orders.taken(job, run)
        node = next(node for node in workers if pid in node.pids())
        node.kill()
        workers[workers.index(node)] = cluster.add()
        assert run.wait(900) == 0, log.read_text()

    killed_in("filter", r"/audio\.fidelity/.*\.parquet$", "before")
    tally("kill -9 of a node before a publish", 1, differences(out, undisturbed.after("filter")))
    lone.finish(out, ["annotate", "decide"])
    killed_in("shard", r"/shard-\d+\.tar$", "after")
    tally("kill -9 of a node after a publish", 1, differences(out, undisturbed.after("shard")))
