"""stdout belongs to the one JSON object of `--json`."""

import io
import json
import sys

from pipeline import console


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
