"""Samples that the trained model made, as far as OUT/samples holds some.

`klear-train generate` leaves OUT/samples/stage-<n>/samples.json: a list of {file, task, seconds, prompt {video, audio,
speech, dense}} and the .mp4 and .wav files that it names.
"""

import json
from typing import Any
from urllib.parse import quote

from filters.capability import TASKS
from manifests import files
from manifests.files import AnyPath

SHOWN = 60
_PROMPT = ("video", "audio", "speech")
"""Texts that the model was given, in the order in which they are shown."""


def listed(out: AnyPath) -> list[dict[str, Any]]:
    """Playable samples, later stages first: address relative to OUT/report, kind (video | audio), task, prompt."""
    notes = _notes(out / "samples")
    found = [_sample(note.parent, row) for note in notes for row in _by_task(json.loads(files.read(note)))]
    return [sample for sample in found if sample][:SHOWN]


def _notes(folder: AnyPath) -> list[AnyPath]:
    """The newest stage first."""
    found = [folder / name / "samples.json" for name in reversed(files.folders(folder))]
    return [note for note in found if files.exists(note)]


def _by_task(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {task: place for place, task in enumerate(TASKS)}
    return sorted(rows, key=lambda row: known.get(row["task"], len(known)))


def _sample(folder: AnyPath, row: dict[str, Any]) -> dict[str, Any] | None:
    path = folder / row["file"]
    if not files.exists(path):
        return None
    prompt = row.get("prompt", {})
    return {
        "href": f"../samples/{quote(folder.name)}/{quote(path.name)}",
        "name": path.stem,
        "stage": folder.name,
        "kind": "audio" if path.suffix == ".wav" else "video",
        "task": row["task"],
        "seconds": row["seconds"],
        "prompt": [(name, prompt[name]) for name in _PROMPT if prompt.get(name)],
    }
