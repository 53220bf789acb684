"""Mutated files, by the thousand: no crash, no hang, and every one is either fine or has an error code.

KLEAR_MUTATIONS: how many (200; in full 10,000). KLEAR_MUTATIONS_SEED: which (1). KLEAR_MUTATIONS_RESULTS: a file of
results, one JSON a line; what it holds of the same sources and seed is not done again. KLEAR_MUTATIONS_JOBS: processes.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.sync_sources import AV1, H264, HEVC, MPEG2, VP8, VP9, Spec, make
from manifests.errors import MediaError
from media.clip import clip_from_probe
from media.encode import EncodeRecipe, encode_bytes
from media.probe import probe
from media.render import render_views
from media.shots import detect_shots
from media.views import AUDIO_16K, VideoView
from tests.faults.results import FILE, FULL

KEPT = FILE.with_name("mutations.jsonl")
TIMEOUT_S, MAX_RSS = 20.0, 1 << 30
SMALL = VideoView("small", box=(32, 24))
AAC, OPUS, MP3, PCM = (("-c:a", name) for name in ("aac", "libopus", "libmp3lame", "pcm_s16le"))
MPEG4 = ("-c:v", "mpeg4", "-q:v", "6")
SOURCES = {
    "mp4": Spec("mp4", (*H264, "-bf", "2"), AAC),
    "faststart": Spec("mp4", (*H264, "-bf", "0"), AAC, mux=("-movflags", "+faststart")),
    "fragments": Spec("mp4", H264, OPUS, mux=("-movflags", "+frag_keyframe+empty_moov")),
    "hevc": Spec("mp4", HEVC, AAC),
    "av1": Spec("mkv", AV1, OPUS),
    "mov": Spec("mov", ("-c:v", "mjpeg", "-q:v", "6", "-pix_fmt", "yuvj420p"), PCM, rate=8000),
    "mkv": Spec("mkv", (*H264, "-bf", "2"), ("-c:a", "flac"), rate=8000),
    "webm": Spec("webm", VP8, OPUS),
    "vp9": Spec("webm", VP9, ("-c:a", "libvorbis")),
    "ts": Spec("ts", H264, AAC),
    "mpg": Spec("mpg", MPEG2, ("-c:a", "mp2")),
    "avi": Spec("avi", MPEG4, MP3),
    "flv": Spec("flv", ("-c:v", "flv", "-q:v", "6"), MP3, rate=44_100),
    "ogv": Spec("ogv", ("-c:v", "libtheora"), ("-c:a", "libvorbis")),
    "wmv": Spec("wmv", ("-c:v", "wmv2", "-q:v", "6"), ("-c:a", "wmav2")),
    "mxf": Spec("mxf", (*MPEG2, "-g", "5"), PCM),
    "prores": Spec("mov", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"), ("-c:a", "alac")),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Good files of 0.8 s and 96 x 64, by name."""
    folder = tmp_path_factory.mktemp("sources")
    made = {}
    for name, spec in SOURCES.items():
        short = Spec(**{**vars(spec), "seconds": 0.8, "fps": Fraction(24), "channels": 1})
        made[name] = make(short, folder / name).read_bytes()
    return made


def mutated(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """One mutation: what was done, and the bytes after it. Half of them near the head, where the tables are."""
    size = len(data)
    reach = size if rng.random() < 0.5 else min(size, 2000)
    at = int(rng.integers(reach)) if rng.random() < 0.8 else size - 1 - int(rng.integers(reach))
    long = int(min(size - at, 2 ** rng.integers(0, 12)))
    kind = str(
        rng.choice(["flip", "flip", "flips", "flips", "cut", "zero", "ones", "noise", "drop", "repeat", "number"])
    )
    out = bytearray(data)
    if kind == "flip":
        out[at] ^= 1 << int(rng.integers(8))
    elif kind == "flips":
        for place in rng.integers(0, size, 2 ** rng.integers(1, 9)):
            out[place] = int(rng.integers(256))
    elif kind == "cut":
        del out[at:]
    elif kind == "number":
        out[at : at + 4] = int(rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF])).to_bytes(4, "big")
    else:
        new = {"zero": bytes(long), "ones": b"\xff" * long, "noise": rng.bytes(long), "drop": b""}
        out[at : at + long] = new.get(kind, data[at : at + long] * 2)
    return kind, bytes(out)


def settle(path: Path) -> tuple[str, str]:
    """What becomes of a file: ("", "ok"), or the step that refused it and the error's code."""
    step = "probe"
    try:
        found = probe(path, timeout_s=TIMEOUT_S, max_rss=MAX_RSS)
        step = "shots"
        frames = detect_shots(path, found, timeout_s=TIMEOUT_S, max_rss=MAX_RSS).frames_decoded
        clip = clip_from_probe(path, found, 0, min(frames, 1000), clip_id=bytes(16), source_id=bytes(16))
        step = "render"
        with render_views(clip, [SMALL, AUDIO_16K], timeout_s=TIMEOUT_S, max_rss=MAX_RSS) as views:
            assert len(views[SMALL]) == clip.frames
        step = "encode"
        encode_bytes(clip, EncodeRecipe(preset="ultrafast", box=(96, 64)), timeout_s=TIMEOUT_S, max_rss=MAX_RSS)
    except MediaError as error:
        return step, error.code
    return "", "ok"


def one(task: tuple[int, int, str, bytes, str]) -> dict[str, Any]:
    """Mutate a source by (seed, number), look at it in every way, and say what became of it."""
    seed, number, name, data, folder = task
    kind, bad = mutated(data, np.random.default_rng([seed, number]))
    path = Path(folder) / f"{number}.{SOURCES[name].container}"
    path.write_bytes(bad)
    began = time.monotonic()
    step, code = settle(path)
    path.unlink()
    seconds = round(time.monotonic() - began, 3)
    return {"number": number, "source": name, "kind": kind, "step": step, "code": code, "seconds": seconds}


def outcomes(
    sources: dict[str, bytes], seed: int, count: int, jobs: int, results: Path, folder: Path
) -> Iterator[dict[str, Any]]:
    """Rows of all mutations: those already in `results` under the same sources and seed, then the others, written."""
    mark = hashlib.sha256(b"".join(sources.values())).hexdigest()[:16] + f"-{seed}"
    lines = results.read_text().splitlines() if results.exists() else []
    known = {row["number"]: row for row in map(json.loads, lines) if row["mark"] == mark}
    yield from (row for number, row in sorted(known.items()) if number < count)
    names = sorted(sources)
    left = (n for n in range(count) if n not in known)
    tasks = ((seed, n, names[n % len(names)], sources[names[n % len(names)]], str(folder)) for n in left)
    with ProcessPoolExecutor(jobs) as pool, results.open("a") as file:
        while chunk := list(islice(tasks, 20 * jobs)):
            for row in pool.map(one, chunk):
                file.write(json.dumps(row | {"mark": mark}) + "\n")
                file.flush()
                yield row


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_every_mutation_is_accounted_for(sources: dict[str, bytes], tmp_path: Path) -> None:
    count, seed, jobs = (
        int(os.environ.get(f"KLEAR_MUTATIONS{what}", default))
        for what, default in (("", "10000" if FULL else "200"), ("_SEED", "1"), ("_JOBS", "2" if FULL else "1"))
    )
    results = Path(os.environ.get("KLEAR_MUTATIONS_RESULTS", KEPT if FULL else tmp_path / "results.jsonl"))
    rows = list(outcomes(sources, seed, count, jobs, results, tmp_path))
    print(f"\n{table(rows)}")
    assert sorted(row["number"] for row in rows) == list(range(count))
    strange = [row for row in rows if row["code"] != "ok" and not row["code"].startswith("media:")]
    assert not strange
    slow = [row for row in rows if row["seconds"] > 5 * TIMEOUT_S]
    assert not slow, "a step did not keep to its time limit"


def table(rows: list[dict[str, Any]]) -> str:
    """How many files ended how, and how long that took (s: in all, the longest)."""
    lines = ["| step | code | files | seconds | longest |", "| --- | --- | --- | --- | --- |"]
    for (step, code), number in Counter((row["step"], row["code"]) for row in rows).most_common():
        took = [row["seconds"] for row in rows if (row["step"], row["code"]) == (step, code)]
        lines.append(f"| {step} | {code} | {number} | {sum(took):.1f} | {max(took):.1f} |")
    return "\n".join(lines)
