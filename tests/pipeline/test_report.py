"""The report from small tables written by hand: no Ray, no models; one real MP4 for what has to play."""

import json
import re
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from manifests.catalog import Catalog
from manifests.schema import CLIPS, EVENTS, LISTING, SAMPLES, SHARDS, SOURCES, VERDICTS, stage_schema
from media.writer import write_mp4
from pipeline.config import PipelineSettings
from pipeline.context import Context
from pipeline.jobs import card, tars
from pipeline.report import bins, evaluation, figure, generated, limits
from pipeline.report.page import number

SOURCE, OTHER = b"s" * 16, b"t" * 16
CLIP = [bytes([i]) * 16 for i in range(1, 5)]
POLICY = """
name: tiny
gates:
  - {name: quiet, classes: [music], measure: audio.loudness.rms_db, min: -60, source: a paper}
  - {name: still, measure: video.motion.static_ratio, max: 0.9, source: ours}
"""
STAGES = {
    "audio.classes": {"audio_class": pa.string()},
    "audio.loudness": {"rms_db": pa.float64()},
    "video.motion": {"static_ratio": pa.float64()},
}


@pytest.fixture
def context(tmp_path):
    (tmp_path / "tiny.yaml").write_text(POLICY)
    tiers = [{"name": "cheap", "stages": [{"name": name} for name in STAGES]}]
    settings = {"tiers": tiers, "policy": str(tmp_path / "tiny.yaml"), "annotate": []}
    context = Context(tmp_path / "run", PipelineSettings.model_validate(settings))
    context.prepare()
    return context


def publish(context, name, schema, rows):
    table = context.catalog.set_current(context.catalog.table(name, name, schema))
    table.publish("b0000-all", [{column: row.get(column) for column in schema.names} for row in rows])


def ingested(context, uri="file:///nowhere.mp4"):
    """Two sources (one damaged) and four clips of the good one."""
    sources = [
        {"source_key": SOURCE, "source_id": SOURCE, "name": "<b>good</b>.mp4", "outcome": "ok", "licence": "MIT",
         "width": 64, "height": 48, "fps_num": 25, "fps_den": 1, "duration_s": 8.0, "clips": 4},
        {"source_key": OTHER, "name": "bad.mp4", "outcome": "quarantined", "error_stage": "probe",
         "error_code": "media:empty", "error_message": "bad.mp4 is empty"},
    ]  # fmt: skip
    common = {"uri": uri, "bytes": 1, "version": "mtime:1", "revision": 0, "attempts": 1}
    publish(context, "listing", LISTING, [common | row for row in sources])
    publish(context, "sources", SOURCES, [common | row for row in sources])
    path = Path(uri.removeprefix("file://"))
    stat = path.stat() if path.exists() else None
    file = {"bytes": 1, "version": "mtime:1"}
    if stat:
        file = {"bytes": stat.st_size, "version": f"mtime:{stat.st_mtime_ns}"}
    shape = file | {"source_id": SOURCE, "bucket": 0, "uri": uri, "name": "<b>good</b>.mp4", "frames": 50,
             "fps_num": 25, "fps_den": 1, "width": 64, "height": 48, "audio_rate": 44_100, "audio_channels": 1,
             "origin_s": 0.0, "video_index": 0, "audio_index": 1, "audio_anchor_s": 0.0, "audio_step": 0,
             "audio_slack_s": 0.0, "look": "", "recipe": "cut"}  # fmt: skip
    clips = [shape | {"clip_id": key, "start_us": i * 2_000_000, "end_us": (i + 1) * 2_000_000, "start_frame": 0}
             for i, key in enumerate(CLIP)]  # fmt: skip
    publish(context, "clips", CLIPS, clips)


def measured(context):
    """Music: one loud, one silent and still; speech: one; the fourth clip broke its stage."""
    values = {
        "audio.classes": ["music", "music", "speech", None],
        "audio.loudness": [-20.0, -90.0, -80.0, None],
        "video.motion": [0.1, 1.0, 0.2, None],
    }
    for name, columns in STAGES.items():
        (column,) = columns
        rows = [
            {"clip_id": key, "source_id": SOURCE, "bucket": 0, "recipe": "r-" + name, "attempts": 1, column: value}
            | ({"status": "ok"} if value is not None else {"status": "quarantined", "error_code": "media:short"})
            for key, value in zip(CLIP, values[name])
        ]
        publish(context, name, stage_schema(columns), rows)


def judged(context):
    reason = {"gate": "quiet", "measure": "audio.loudness.rms_db", "value": -90.0, "min": -60.0, "max": None}
    rows = [
        {"clip_id": CLIP[0], "keep": True, "audio_class": "music", "tasks": ["T2AV", "T2A"]},
        {
            "clip_id": CLIP[1],
            "keep": False,
            "audio_class": "music",
            "rejected_by": ["quiet", "still"],
            "reasons": [reason],
        },
        {"clip_id": CLIP[2], "keep": True, "audio_class": "single_speech", "tasks": ["T2AV"]},
    ]
    empty = {"bypass": False, "rejected_by": [], "reasons": [], "unmeasured": [], "tasks": []}
    publish(context, "verdicts", VERDICTS, [empty | row for row in rows])


def released(context):
    """One kept clip in a real tar."""
    folder = context.out / "shards" / "g0001"
    movie = context.out / "movie.mp4"
    picture = np.full((50, 48, 64, 3), np.arange(50, dtype=np.uint8)[:, None, None, None])
    write_mp4(movie, picture, 25.0, np.zeros(88_200, np.float32), 44_100)
    tars.write(folder / "shard-00000.tar", [(f"{CLIP[0].hex()}.json", b"{}"), (f"{CLIP[0].hex()}.mp4", movie)])
    place = tars.read_back(folder / "shard-00000.tar").places[CLIP[0].hex()]
    sample = {"clip_id": CLIP[0], "source_id": SOURCE, "bucket": 0, "generation": "g0001", "shard": "shard-00000.tar",
              "offset": place.offset, "size": place.size, "split": "train", "audio_class": "music", "tasks": ["T2AV"],
              "recipe": "r", "status": "ok", "attempts": 1}  # fmt: skip
    publish(context, "samples", SAMPLES, [sample])
    shard = {"generation": "g0001", "shard": "shard-00000.tar", "sha256": "ab" * 32, "bytes": 10_240, "count": 1}
    publish(context, "shards", SHARDS, [shard | {"recipe": "r"}])


class Checker(HTMLParser):
    """Finds tags left open, and every address that the page would load."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.loads = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in {"src", "poster"}]
        self.loads += [value for name, value in attrs if name == "href" and tag == "link"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def pages(context):
    result = card.run(context)
    index, samples = ((context.out / "report" / name).read_text() for name in ("index.html", "samples.html"))
    for text in (index, samples):
        assert Checker(text).open == []
        assert "None" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return result, index, samples


def test_an_empty_folder_has_a_report_that_says_what_to_run(context):
    result, index, samples = pages(context)
    assert result["files"] == ["report/index.html", "report/samples.html"]
    assert result["missing"] == ["sources", "clips", "audio.classes", "verdicts", "compose.texts", "samples"]
    assert "klear ingest" in index and "klear shard" in samples


def test_a_run_that_is_only_ingested(context):
    ingested(context)
    result, index, _ = pages(context)
    assert "sources" not in result["missing"] and "verdicts" in result["missing"]
    assert "<b>good</b>" not in index and "&lt;b&gt;good&lt;/b&gt;.mp4" in index
    assert "1 quarantined <code>media:empty</code>" in index and "4 pending" in index


def test_verdicts_bring_yields_capabilities_and_reasons(context):
    ingested(context)
    measured(context)
    judged(context)
    _, index, samples = pages(context)
    assert "2 of 3 judged clips stay (67%)." in index
    text = re.sub(r"<[^>]+>|\s+", " ", index)
    quiet = re.search(r"quiet +audio\.loudness\.rms_db at least -60 +music +(\d+) +(\d+) +(\d+)", text)
    assert quiet and quiet.groups() == ("2", "1", "0")
    assert re.search(r"music +1 +1 +0 +0 +0 +1", text) and re.search(r"single speech +1 +1 +0", text)
    assert re.search(r"media:short +clip", text)
    assert "must be at least -60" in samples and "−90" in samples
    assert "source:" in samples or "media:" in samples


def test_kept_clips_are_copied_out_and_play(context):
    ingested(context)
    measured(context)
    judged(context)
    released(context)
    result, index, samples = pages(context)
    assert result["files"][0] == "shards/g0001/README.md" and result["shown"]["kept"] == 1
    name = f"clips/{CLIP[0].hex()}.mp4"
    assert {name, name.replace(".mp4", ".jpg")} <= set(Checker(samples).loads)
    with av.open(str(context.out / "report" / name)) as movie:
        assert movie.streams.video[0].frames == 50 and movie.streams.video[0].average_rate == Fraction(25)
    assert 'href="../shards/g0001/README.md"' in index


def test_pages_load_nothing_from_a_network_and_do_not_change(context):
    ingested(context)
    measured(context)
    judged(context)
    released(context)
    first = pages(context)[1:]
    stale = context.out / "report" / "clips" / "old.mp4"
    stale.write_bytes(b"")
    assert pages(context)[1:] == first and not stale.exists()
    for text in first:
        assert all(not re.match(r"(https?:)?//", address) for address in Checker(text).loads)
        assert "@import" not in text and "url(http" not in text


def test_the_data_docs_are_a_page_of_the_report_once_there_are_any(context):
    ingested(context)
    _, before, _ = pages(context)
    docs = context.out / "report" / "data_docs" / "index.html"
    docs.parent.mkdir()
    docs.write_text("")
    _, after, _ = pages(context)
    assert "data_docs" not in before and 'href="data_docs/index.html"' in after


def test_costs_are_summed_by_job(context):
    ingested(context)
    event = {"job": "measure.cheap", "attempt": 1, "host": "h", "pid": 1, "rows": 2, "seconds": 3.0, "cpu_seconds": 4.0}
    publish(context, "events", EVENTS, [event | {"part": part, "started_s": 1.0} for part in ("a", "b")])
    text = re.sub(r"<[^>]+>|\s+", " ", pages(context)[1])
    assert re.search(r"measure\.cheap +2 +0 +4 +6\.0 +8\.0 +2 +100%", text)


def test_evaluations_are_shown_and_other_files_named(tmp_path):
    numbers = {"loss": 1.2, "linear": 1.5, "ratio": 0.8, "tokens": 10}
    both = {"video": numbers, "audio": numbers}
    report = {"stage": 1, "step": 40, "split": "val", "samples": 3, "sigmas": [0.25, 0.75], "overall": both,
              "by_sigma": {"video": [numbers] * 2, "audio": [numbers] * 2},
              "cells": [{"task": "T2A", "class": "music", "audio": numbers}]}  # fmt: skip
    (tmp_path / "evaluate-1.json").write_text(json.dumps(report))
    (tmp_path / "evaluate-2.json").write_text('{"stage": 2}')
    first, second = evaluation.read(tmp_path)
    assert first["overall"][0] == {"medium": "video", "loss": 1.2, "linear": 1.5, "ratio": 0.8}
    assert first["cells"]["rows"] == [{"class": "music", "cells": [[{"medium": "audio", "ratio": 0.8}]]}]
    assert first["svg"].startswith("<svg") and "evaluate-2.json" in second["unread"]


def test_generated_samples_are_listed_by_task_with_their_prompts(tmp_path):
    folder = tmp_path / "samples" / "stage-2"
    folder.mkdir(parents=True)
    rows = [{"file": name, "task": task, "seconds": 2.0, "prompt": {"audio": "rain"}}
            for name, task in (("a.wav", "T2A"), ("b.mp4", "T2AV"), ("gone.mp4", "T2V"))]  # fmt: skip
    (folder / "samples.json").write_text(json.dumps(rows))
    (folder / "a.wav").write_bytes(b"")
    (folder / "b.mp4").write_bytes(b"")
    video, audio = generated.listed(tmp_path)
    assert (video["task"], video["kind"], video["href"]) == ("T2AV", "video", "../samples/stage-2/b.mp4")
    assert (audio["kind"], audio["prompt"]) == ("audio", [("audio", "rain")])


def test_bins_hold_limits_and_do_not_lose_wild_values():
    values = np.concatenate([np.linspace(0, 1, 99), [1e9], [np.nan]])
    edges = bins.edges(values, [-3.0])
    assert edges[0] <= -3 and 1 < edges[-1] < 3
    assert bins.counted(values, edges).sum() == 100
    assert np.array_equal(bins.edges(np.array([1.0, 2.0, 4.0])), np.arange(0.5, 5.0))
    assert bins.whole(np.arange(0.5, 5.0)) and not bins.whole(edges)
    assert bins.counted(np.array([5.0, 5.0]), bins.edges(np.array([5.0, 5.0]))).sum() == 2


def test_plots_take_the_colours_of_the_page_and_are_reproducible():
    def draw():
        canvas, (axis,) = figure.canvas(200, 100)
        figure.bars(axis, np.arange(3.0), np.array([1, 2]), np.zeros(2), figure.KEPT)
        return figure.svg(canvas, 'a "plot"')

    text = draw()
    assert text == draw() and "var(--kept)" in text and "#01020" not in text
    assert 'aria-label="a &quot;plot&quot;"' in text and "DejaVu" not in text


def test_limits_say_for_whom_they_are(context):
    from filters.gates import load_policy

    found = limits.of(load_policy(context.settings.policy))
    (quiet,), (still,) = found["audio.loudness.rms_db"], found["video.motion.static_ratio"]
    assert (limits.words(quiet), limits.scope(quiet.classes)) == ("at least -60", "music")
    assert (limits.words(still), limits.scope(still.classes)) == ("at most 0.9", "all classes")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0, "0"), (1234567, "1,234,567"), (-0.01234, "−0.0123"), (12.345, "12.3"),
     (0.0000034, "3.4e−06"),
     (2500.7, "2,501"), ("x", "x")],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert number(value) == text


def test_a_catalog_is_only_read(context):
    ingested(context)
    before = {path: path.read_bytes() for path in (context.out / "tables").rglob("*") if path.is_file()}
    card.run(context)
    assert {p: p.read_bytes() for p in (context.out / "tables").rglob("*") if p.is_file()} == before
    assert Catalog(context.out).names() == ["clips", "listing", "sources"]
