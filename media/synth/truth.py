"""What is known about a synthetic file, and how that is written down beside it."""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

LICENCE = "CC0-1.0"
ATTRIBUTION = "klear synthetic clips"
COLUMNS = ("file", "source", "licence", "attribution", "url", "seconds", "resolution", "fps", "content", "transcript")


@dataclass(frozen=True)
class Word:
    """One spoken word and its time in the file, seconds. `end_s` is where the next word or the silence begins."""

    word: str
    start_s: float
    end_s: float
    speaker: str = "A"


@dataclass(frozen=True)
class Truth:
    """The truth about one file of the set.

    outcome: what ingest must make of it: ok, ineligible or quarantined; code: the error code it must then give.
    kind: flash_beep, bounce, pendulum, engine, music, speech, dialogue, speech_over_music, cuts, or the defect's name.
    av_offset_s: sound after picture, seconds (None where nothing ties them). events_s: when things are seen to happen,
    seconds. cuts: first frames of the later shots. speech_over_music_db: ratio of the RMS levels, dB.
    audio_class: what it sounds like (single_speech, multi_speech, music, sound), None when nothing is heard.
    """

    file: str
    kind: str
    outcome: str = "ok"
    code: str | None = None
    duration_s: float = 0.0
    width: int = 0
    height: int = 0
    fps: str = ""
    audio_class: str | None = None
    av_offset_s: float | None = None
    events_s: tuple[float, ...] = ()
    transcript: str = ""
    words: tuple[Word, ...] = ()
    speakers: int = 0
    cuts: tuple[int, ...] = ()
    speech_over_music_db: float | None = None
    content: str = ""


def write_truths(folder: Path, truths: list[Truth]) -> None:
    """Write `truth.json` (everything) and `metadata.tsv` (licence, attribution and transcript, as ingest reads it)."""
    rows = [asdict(truth) for truth in truths]
    (folder / "truth.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    with (folder / "metadata.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        for t in truths:
            size = f"{t.width}x{t.height}" if t.width else "-"
            row = ["media.synth", LICENCE, ATTRIBUTION, "", f"{t.duration_s:.2f}", size, t.fps or "-"]
            table.writerow([t.file, *row, t.content, t.transcript])
