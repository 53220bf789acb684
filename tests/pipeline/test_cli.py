import json
import subprocess
import sys


def klear(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


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


def test_brackets_in_a_message_are_no_markup(tmp_path):
    done = klear("ingest", "--out", tmp_path / "out", "--source", tmp_path / "no [ab]" / "[/x].mp4")
    assert done.returncode == 2 and "no [ab]/[/x].mp4" in done.stderr and "Traceback" not in done.stderr


def test_licences_name_the_non_commercial_one(tmp_path):
    done = klear("licences", "--json")
    listed = {row["what"]: row["licence"] for row in json.loads(done.stdout)["licences"]}
    assert "NC" in listed["semantic.imagebind"]
