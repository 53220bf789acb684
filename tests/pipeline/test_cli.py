import errno
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from manifests.errors import ConfigError
from pipeline import cli, console, dashboard, submit


def klear(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture
def ended(monkeypatch, capsys):
    """Runs a command in this process: its exit code and what it said."""

    def run(*argv):
        monkeypatch.setattr(console, "_stdout", None)
        monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back after the command took it
        monkeypatch.setattr(sys, "argv", ["klear", *map(str, argv)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code, capsys.readouterr()

    return run


def test_status_of_nothing_is_one_json_object(tmp_path):
    done = klear("status", "--out", tmp_path, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["clips"]["total"] == 0


def test_an_unknown_key_is_one_line_and_exit_code_2(tmp_path):
    done = klear("plan", "--out", tmp_path, "--set", "cut.max_sec=5")
    assert done.returncode == 2 and done.stdout == ""
    assert "did you mean 'cut.max_s'" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_source_is_said_before_anything_starts(tmp_path):
    done = klear("ingest", "--out", tmp_path / "out", "--source", tmp_path / "nowhere")
    assert done.returncode == 2 and "does not exist" in done.stderr


@pytest.mark.parametrize("below", ["", "out"])
@pytest.mark.parametrize("command", ["decide", "status"])
def test_an_output_that_is_a_file(tmp_path, ended, command, below):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    code, said = ended(command, "--out", file / below)
    assert code == 2 and f"out:not_a_folder: {file} is not a folder" in said.err
    assert file.read_text() == "mine"


def test_what_nobody_expected_is_one_line(ended, monkeypatch, tmp_path):
    def broken(out):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(cli, "there", broken)
    code, said = ended("status", "--out", tmp_path, "--json")
    found = json.loads(said.out)["error"]
    assert code == 1 and found["code"] == "crash:ZeroDivisionError" and said.err.count("\n") == 1
    assert (
        "unexpected ZeroDivisionError in test_cli.py:" in said.err and ": division by zero; this is a bug" in said.err
    )
    monkeypatch.setenv("KLEAR_TRACEBACK", "1")
    code, said = ended("status", "--out", tmp_path)
    assert code == 1 and "Traceback" in said.err and "in broken" in said.err


def test_a_full_machine_is_no_bug(ended, monkeypatch, tmp_path):
    def full(out):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(cli, "there", full)
    code, said = ended("status", "--out", tmp_path)
    assert code == 1 and "machine:emfile" in said.err and "bug" not in said.err


def test_brackets_in_a_message_are_no_markup(tmp_path):
    done = klear("ingest", "--out", tmp_path / "out", "--source", tmp_path / "no [ab]" / "[/x].mp4")
    assert done.returncode == 2 and "no [ab]/[/x].mp4" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--clip", "--source", "--licence"])
def test_an_empty_selector_of_a_takedown_is_not_taken_for_none(tmp_path, monkeypatch, option):
    for argv in ([option, ""], [option, " ", "--reason", "why"]):
        monkeypatch.setattr("sys.argv", ["klear", "takedown", "--out", str(tmp_path), *argv])
        with pytest.raises(ConfigError, match=f"{option} is empty"):
            cli.app(standalone_mode=False)


def test_licences_name_the_non_commercial_one(tmp_path):
    done = klear("licences", "--json")
    listed = {row["what"]: row["licence"] for row in json.loads(done.stdout)["licences"]}
    assert "NC" in listed["semantic.imagebind"]


def test_every_command_takes_json():
    from trainer import cli as trainer

    for app in (cli.app, trainer.app):
        commands = typer.main.get_command(app).commands
        assert len(commands) >= 6
        groups = [it.commands for it in commands.values() if hasattr(it, "commands")]
        single = {name: it for held in (commands, *groups) for name, it in held.items() if not hasattr(it, "commands")}
        assert [name for name, it in single.items() if not any("--json" in param.opts for param in it.params)] == []


class Cluster:
    """Answers as Ray's client of jobs does."""

    def submit_job(self, **options):
        return "job-1"

    async def tail_job_logs(self, job):
        yield "kept 3 of 4\n"

    def get_job_status(self, job):
        return SimpleNamespace(is_terminal=lambda: True)

    def get_job_info(self, job):
        return SimpleNamespace(driver_exit_code=3, status="FAILED", message="[/x] failed")


@pytest.mark.parametrize(
    ("argv", "code", "found"),
    [
        (["submit", "--json", "--", "filter"], 3, {"job": "submit", "id": "job-1", "exit_code": 3}),
        (["dashboard", "--json"], 0, {"job": "dashboard", "url": "http://head:8265"}),
    ],
)
def test_commands_about_clusters_print_one_json_object(monkeypatch, capsys, argv, code, found):
    monkeypatch.setattr(submit, "_client", lambda address: Cluster())
    monkeypatch.setattr(dashboard, "find", lambda address: "http://head:8265")
    monkeypatch.setattr(console, "_stdout", None)
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back after the command took it
    monkeypatch.setattr(sys, "argv", ["klear", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == code and json.loads(said.out) == found
    assert ("kept 3 of 4" in said.err) == (argv[0] == "submit")


def test_clean_removes_the_folder_that_it_is_given(tmp_path):
    for name in ("my out", "my", "out"):
        (tmp_path / name).mkdir()
    makefile = Path(__file__).parents[2] / "Makefile"
    subprocess.run(["make", "-s", "-f", makefile, "clean", "OUT=my out"], cwd=tmp_path, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my", "out"]
