"""Self-check: synthesise a labelled set, measure it, and say how far each measure is from the truth."""

import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import chain
from operator import methodcaller
from pathlib import Path
from typing import Any

from manifests import files
from manifests.errors import ConfigError
from manifests.files import AnyPath
from pipeline import console
from pipeline.selfcheck import (
    drawn,
    edited,
    faces,
    flaws,
    marks,
    offsets,
    page,
    picture,
    routing,
    shots,
    sound,
    speakers,
    stills,
)
from pipeline.selfcheck.finding import Finding

PARTS = ("sound", "picture", "edited", "marks", "offsets", "faces", "shots", "classes", "speakers")


def run(out: AnyPath, media: Path | None = None, only: Iterable[str] = (), every: int = 1) -> dict[str, Any]:
    """Write OUT/selfcheck.html and OUT/selfcheck.json; the findings, and the floors that do not hold (`broken`).

    media: a folder of real clips (grid/, librispeech/, video/). only: some of PARTS. every: one in so many cases of the
    parts whose cases cost seconds each (offsets, shots), under the same floors. Raises ConfigError for another part.
    """
    started = time.monotonic()
    wanted = list(only) or list(PARTS)
    if wrong := [name for name in wanted if name not in PARTS]:
        raise ConfigError("selfcheck:part", f"no part {wrong[0]!r}; there are {', '.join(PARTS)}")
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="klear-selfcheck-") as folder:
        for name, look in _parts(Path(folder), media, wanted, every).items():
            console.say("", f"{name} ...", "dim")
            findings += look()
    broken = [text for finding in findings for text in finding.broken()]
    about = {"seconds": round(time.monotonic() - started, 1), "missing": routing.not_at_hand(media)}
    told = {"findings": [finding.row() for finding in findings], "broken": broken, **about}
    files.replace(out / "selfcheck.json", methodcaller("write", _json(told)))
    written = page.write(out / "selfcheck.html", findings, about)
    return {"job": "selfcheck", "page": str(written), **told}


def _parts(
    folder: Path, media: Path | None, wanted: list[str], every: int
) -> dict[str, Callable[[], Iterable[Finding]]]:
    looks: dict[str, Callable[[], Iterable[Finding]]] = {
        "sound": lambda: chain(sound.check(), flaws.check()),
        "picture": lambda: chain(picture.check(), stills.check()),
        "edited": edited.check,
        "marks": lambda: marks.check(media),
        "offsets": lambda: offsets.check(folder, every),
        "faces": lambda: faces.check(media),
        "shots": lambda: shots.check(every),
    }
    if {"classes", "speakers"} & set(wanted):
        made = drawn.measured(folder / "drawn", spoken="classes" not in wanted)
        looks["classes"] = lambda: routing.check(made, media)
        looks["speakers"] = lambda: speakers.check(made, media)
    return {name: look for name, look in looks.items() if name in wanted}


def _json(told: dict[str, Any]) -> bytes:
    import json

    return (json.dumps(told, indent=1) + "\n").encode()


def show(result: dict[str, Any]) -> None:
    """A row a finding; then what does not hold."""
    body = []
    for row in result["findings"]:
        figures = ", ".join(
            f"{name} {'–' if value is None else f'{value:.3g}'}" for name, value in row["figures"].items()
        )
        body.append([row["measure"], row["case"], row["count"], figures])
    console.rows("Measures against truth", ["measure", "on what", "n", "error, or score"], body)
    for text in result["missing"]:
        console.say(text, "not at hand", "yellow")
    for text in result["broken"]:
        console.say(text, "floor", "bold red")
    console.say(f"{result['page']}")
