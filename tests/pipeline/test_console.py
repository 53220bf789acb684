"""stdout belongs to the one JSON object of `--json`."""

import io
import json
import sys

import pytest
from rich.text import Text

from pipeline import console
from pipeline.jobs import replay

NAME = "a [ab] [/x] [red]b :warning:.mp4"
"""Rich would end in a traceback of [/x], swallow [ab] and [red], and draw a sign for the rest."""


@pytest.fixture
def printed(monkeypatch):
    """What the people's console has printed."""
    file = io.StringIO()
    monkeypatch.setattr(console.err, "_file", file)
    monkeypatch.setattr(console.err, "_width", 200)
    return file.getvalue


def test_with_json_what_libraries_print_goes_to_stderr(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(console, "_stdout", None)
    console.own_stdout()
    print("(raylet) a node died")
    console.print_json({"job": "ingest"})
    assert json.loads(out.getvalue()) == {"job": "ingest"}
    assert err.getvalue() == "(raylet) a node died\n"


def test_text_from_data_is_printed_as_it_is(printed):
    console.say(f"no such file: {NAME}", "error", "bold red")
    console.err.print(NAME)
    console.err.rule(NAME)
    console.outcome(NAME, {"causes": {NAME: 1}, "next": [NAME]})
    console.rows(NAME, [NAME], [[NAME], [[NAME]]])
    replay.show({"stage": NAME, "status": "ok", "columns": [{"column": NAME, "now": NAME, "stored": 1, "equal": 0}]})
    with console.ticking(NAME, 3, NAME) as ticker:
        columns = [column.render(task) for task in ticker._progress.tasks for column in ticker._progress.columns[1:5]]
    assert printed().count(NAME) == 13
    assert [column.plain for column in columns if isinstance(column, Text)].count(NAME) == 2


def test_a_name_that_is_no_text_is_json_all_the_same(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(console, "_stdout", io.TextIOWrapper(raw, "utf-8"))
    console.print_json({"name": "caf\udce9 é"})
    assert json.loads(raw.getvalue()) == {"name": "caf\udce9 é"}
