"""The Slurm recipe: valid bash, known options, and a requeue after a stop that was asked for, only then."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "slurm" / "train.sbatch"

COMMANDS = {
    "scontrol": 'if [ "$1" = show ]; then printf "node1\\nnode2\\n"; else echo "$@" >> requeued; fi',
    "srun": 'shift; exec "$@"',
    # Ends a second after SIGTERM, with an error, as torchrun does; else as told.
    "torchrun": """
echo "$@" > arguments
trap 'sleep 1; touch saved; exit 1' TERM
touch started
for _ in $(seq "${STEPS:-0}"); do sleep 0.1; done
exit "${CODE:-0}"
""",
}


@pytest.fixture
def start(tmp_path):
    def begin(**variables: str) -> subprocess.Popen:
        for name, body in COMMANDS.items():
            path = tmp_path / name
            path.write_text(f"#!/bin/bash\n{body}")
            path.chmod(0o755)
        slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8"}
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": "/data/out", **slurm, **variables}
        return subprocess.Popen(["bash", str(SCRIPT), "--set", "save_every=5"], cwd=tmp_path, env=env)

    return begin


def test_it_is_bash():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_a_job_that_ends_starts_torchrun_rightly_and_is_not_put_back(start, tmp_path):
    assert start(STAGE="2").wait(20) == 0
    arguments = (tmp_path / "arguments").read_text()
    assert "--nnodes=2 --nproc-per-node=8" in arguments and "--rdzv-endpoint=node1:29500" in arguments
    assert "-m trainer train --out /data/out --stage 2 --preset klear_26b --set save_every=5" in arguments
    assert not (tmp_path / "requeued").exists()


def test_a_job_that_fails_fails_and_is_not_put_back(start, tmp_path):
    assert start(CODE="3").wait(20) == 3
    assert not (tmp_path / "requeued").exists()


def test_a_job_that_is_told_to_stop_saves_and_is_put_back(start, tmp_path):
    job = start(STEPS="100")
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(20) == 0
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_every_option_is_one_that_torchrun_and_klear_know():
    from torch.distributed.run import get_args_parser
    from typer.main import get_command

    from trainer.cli import app

    text = SCRIPT.read_text()
    command = text[text.index("torchrun \\") : text.index("&\n")]
    ours, theirs = command.partition("-m trainer train")[::2][::-1]
    known = {option for action in get_args_parser()._actions for option in action.option_strings}
    assert set(re.findall(r"--[a-z-]+", theirs)) <= known
    options = {name for parameter in get_command(app).commands["train"].params for name in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", ours)) <= options
