"""The command line: one JSON object, clear errors, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from trainer.cli import app
from trainer.loop import train

ROOT = Path(__file__).parents[2]


def run(*args: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "trainer", *args],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        env=env,
        check=False,
    )


def test_train_prints_exactly_one_json_object(out):
    sets = ["model.width=32", "model.ffn=48", "model.rope.axes=[6,4,4]", "model.text_dim=7", "stages.0.steps=2"]
    done = run("train", "--out", str(out), "--preset", "tiny", "--json", *(x for s in sets for x in ("--set", s)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["step"] == 2
    assert "UserWarning" not in done.stderr


def test_a_wrong_key_is_one_line_with_the_nearest(tmp_path):
    done = run("train", "--out", str(tmp_path), "--set", "optim.weight_decai=1")
    assert done.returncode == 2
    assert "weight_decay" in done.stderr and "Traceback" not in done.stderr


def test_missing_latents_name_the_command_to_run(tmp_path):
    done = run("evaluate", "--out", str(tmp_path), "--preset", "tiny")
    assert done.returncode == 2
    assert "klear-train encode" in done.stderr and "Traceback" not in done.stderr


def test_encode_hands_on_where_and_with_how_many(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(
        "trainer.data.encode.encode", lambda out, settings, **how: given.update(how) or {"job": "encode"}
    )
    monkeypatch.setattr("pipeline.jobs.validate.check", lambda *what: None)
    told = ["encode", "--out", str(tmp_path), "--workers", "3", "--address", "head:6379", "--json"]
    assert CliRunner().invoke(app, told).exit_code == 0
    assert given == {"workers": 3, "address": "head:6379"}


def test_export_and_generate_from_it(out, tiny, tmp_path):
    train(tiny, out, 1)
    done = run("export", "--out", str(out), "--to", str(tmp_path / "model"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dtype"] == "bf16"
    for args, said in (
        (["export", "--out", str(out), "--stage", "2"], "checkpoint:absent"),
        (["generate", "--out", str(tmp_path / "made"), "--from", str(tmp_path / "model")], "--prompt"),
        (["train", "--out", str(out), "--launcher", "slurm"], "torchrun or ray"),
    ):
        done = run(*args)
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
