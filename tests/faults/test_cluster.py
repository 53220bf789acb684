"""A real cluster of three nodes with token auth: jobs spread over it, outlive a node, and keep strangers out."""

import json
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.faults

SPREAD = """
import json, os, sys, time
import ray

ray.init(address=sys.argv[1], log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False
ray.data.DataContext.get_current().max_errored_blocks = -1

FOLDER = sys.argv[2]

class Where:
    def __call__(self, batch):
        open(f"{FOLDER}/{batch['id'][0]}", "w").write("started")
        time.sleep(0.4)
        return {"id": batch["id"], "node": [ray.get_runtime_context().get_node_id()], "cwd": [os.environ["TMPDIR"]]}

rows = ray.data.from_items([{"id": i} for i in range(24)], override_num_blocks=24).map_batches(
    Where, batch_size=1, compute=ray.data.ActorPoolStrategy(size=3), max_restarts=4, max_task_retries=4)
json.dump(list(rows.iter_rows()), open(f"{FOLDER}.json", "w"))
"""


def spread(cluster, folder):
    """Start the job. It notes the start of each row in `folder`, and its answer in `<folder>.json`."""
    folder.mkdir()
    argv = [sys.executable, "-c", SPREAD, cluster.address, str(folder)]
    return subprocess.Popen(argv, env=cluster.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_ray_data_job_uses_all_nodes_and_outlives_one(three_nodes, tmp_path):
    assert spread(three_nodes, tmp_path / "calm").wait(120) == 0
    rows = json.loads((tmp_path / "calm.json").read_text())
    assert sorted(row["id"] for row in rows) == list(range(24))
    assert len({row["node"] for row in rows}) == 3 and len({row["cwd"] for row in rows}) == 3
    run = spread(three_nodes, tmp_path / "killed")
    while not list((tmp_path / "killed").iterdir()):
        assert run.poll() is None
        time.sleep(0.05)
    three_nodes.nodes[2].kill()
    assert three_nodes.nodes[2].pids() == [] and run.poll() is None
    assert run.wait(120) == 0
    rows = json.loads((tmp_path / "killed.json").read_text())
    assert sorted(row["id"] for row in rows) == list(range(24))


def test_who_has_no_token_stays_outside(three_nodes):
    script = f"import ray; ray.init(address={three_nodes.address!r}); print('inside')"
    runs = [
        subprocess.Popen([sys.executable, "-c", script], env={**three_nodes.env, **stranger}, stdout=subprocess.PIPE)
        for stranger in ({"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"})
    ]
    for run in runs:
        said = run.communicate(timeout=120)[0]
        assert run.returncode != 0 and b"inside" not in said


@pytest.mark.slow
def test_ingest_runs_on_the_cluster(three_nodes, tmp_path, small_sources, small_preset):
    options = ("--out", tmp_path, "--preset", small_preset, "--source", small_sources, "--json")
    done = three_nodes.klear("ingest", *options, "--address", three_nodes.address)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["sources"], found["ok"], found["duplicate"], found["pending"]) == (9, 5, 1, 0)
