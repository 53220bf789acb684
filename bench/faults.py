"""The fault table: what was done to runs, how often, and what it cost their content. From `tests/faults/results/`.

python -m bench.faults [--record]
"""

import argparse
import os
import platform
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

from tests.faults import results

_HEAD = (
    "| fault | injected | rows lost | rows twice | rows or bytes differing | healthy rows quarantined |\n"
    "| --- | --- | --- | --- | --- | --- |"
)
_NOTE = """Each fault was followed by the same commands again, and the content then compared with the undisturbed run:
all tables but events as sorted rows, plans, and every tar's bytes. Where a fault takes a clip for good, it is
quarantined with the right code, and all others are compared.
"""
_COUNTS = ("injected", "lost", "duplicated", "differing", "healthy")


def main() -> None:
    """Print the table of what was found; append it to bench/RESULTS.md with --record."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    ask.add_argument("--code", default=results.code(), help="digest of the code whose results to show (this code)")
    given = ask.parse_args()
    found = latest(given.code)
    text = f"{_NOTE}Digest of the code: {given.code}.\n\n{table(found)}\n\n{others(found)}\n"
    print(text)
    if given.record:
        title = f"\n## {date.today()}: faults survived, {os.cpu_count()} cores of {platform.machine()}\n"
        with Path(__file__).with_name("RESULTS.md").open("a") as file:
            file.write(title + text)


def latest(code: str) -> list[dict[str, Any]]:
    """The last result of each test with the code of this digest; of both forms, the long one."""
    kept: dict[str, dict[str, Any]] = {}
    for entry in sorted(results.read(), key=lambda entry: entry["form"] == "full"):
        if entry["code"] == code:
            kept[entry["test"]] = entry
    return [kept[name] for name in sorted(kept)]


def table(found: list[dict[str, Any]]) -> str:
    """A row a fault, summed over the tests that inject it; failed tests are named below it."""
    rows: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0))
    for entry in found:
        for tally in entry["tallies"]:
            for name in _COUNTS:
                rows[tally["fault"]][name] += tally[name]
    lines = [f"| {fault} | {' | '.join(str(row[name]) for name in _COUNTS)} |" for fault, row in sorted(rows.items())]
    return "\n".join([_HEAD, *lines])


def others(found: list[dict[str, Any]]) -> str:
    """Tests that compare in their own way, by file; and those that failed."""
    files: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in found:
        if not entry["tallies"] or entry["outcome"] != "passed":
            files[entry["test"].partition("::")[0]].append(entry)
    lines = ["| other tests | passed | failed | what they show |", "| --- | --- | --- | --- |"]
    for name, entries in sorted(files.items()):
        passed = sum(entry["outcome"] == "passed" for entry in entries)
        lines.append(f"| {name} | {passed} | {len(entries) - passed} | {entries[0]['about']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
