"""A klear command as a Ray job, on a head node with dashboard and token auth: its output here, its exit code ours."""

import json
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.faults


@pytest.fixture
def head(cluster):
    cluster.add(cpus=2, dashboard=True)
    return cluster


@pytest.mark.slow
def test_a_command_runs_as_a_job_and_its_exit_code_is_ours(head, tmp_path, small_sources, small_preset):
    submit = ("submit", "--address", head.dashboard, "--env", "KLEAR_NOTE=a b", "--")
    out, options = tmp_path / "out", ("--preset", small_preset, "--source", small_sources)
    done = head.klear(*submit, "ingest", "--out", out, *options, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert (found["sources"], found["ok"], found["pending"]) == (9, 5, 0)
    assert (out / "tables" / "sources.current.json").is_file()

    wrong = head.klear(*submit, "ingest", "--out", out, "--preset", "nonsense", "--source", small_sources)
    assert wrong.returncode == 2 and "no preset 'nonsense'" in wrong.stdout and "FAILED" in wrong.stderr

    jobs = json.loads(ask(head, "/api/jobs/", head.env["RAY_AUTH_TOKEN"]))
    assert sorted(job["status"] for job in jobs if job["type"] == "SUBMISSION") == ["FAILED", "SUCCEEDED"]
    assert any(job["metadata"].get("klear", "").startswith("ingest --out") for job in jobs if job["metadata"])

    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(head, "/api/jobs/", None)
    stranger = head.klear(*submit, "status", token="0" * 64)
    assert stranger.returncode == 1 and "submit:refused" in stranger.stderr
    found = head.klear("dashboard", "--address", head.address)
    assert found.stdout.strip() == head.dashboard


def ask(cluster, path, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return urllib.request.urlopen(urllib.request.Request(cluster.dashboard + path, headers=headers)).read()
