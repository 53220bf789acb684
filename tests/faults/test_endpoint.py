"""500 clips (100 in the short form) through `klear annotate` against an endpoint that misbehaves, killed half way:
nothing is lost, and each answer paid for once.

The endpoint is `tests/chat_server.py`, in this process: it knows what was asked when everything else is dead.
"""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from manifests import journal
from manifests.catalog import Catalog
from media.writer import write_mp4
from tests.chat_server import serving
from tests.faults.conftest import sabotaged
from tests.faults.orders import kill, start, wait_for
from tests.faults.results import FULL
from tests.faults.same import Differences

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

SOURCES, SECONDS, WORKERS, AT_ONCE = 10 if FULL else 2, 50, 2, 8
CLIPS = SOURCES * SECONDS
STAGE = "caption.audio_endpoint"
PRESET = """
cut: {min_s: 1.0, max_s: 1.0}
tiers: [{name: cheap, stages: [{name: audio.loudness}]}]
policy: POLICY
annotate:
  - name: caption.audio_endpoint
    params: {url: URL, model: tiny, licence: "Apache-2.0", concurrency: 8, attempts: 12, timeout_s: 2.0,
             backoff_s: 0.05, backoff_max_s: 1.0, price: {prompt: 0.2, completion: 0.8}}
shard: {shards: 1}
engine: {part_clips: 32, bucket_bits: 1, workers: 2, needs: {annotate: {clips_at_once: 8}}}
"""


@pytest.fixture
def sources(tmp_path):
    """Sources of 50 s, of which each second sounds and looks different."""
    folder = tmp_path / "sources"
    folder.mkdir()
    x = np.arange(96)[None, None, :, None]
    for number in range(SOURCES):
        shift = np.arange(10 * SECONDS)[:, None, None, None]
        frames = np.broadcast_to(127 + 100 * np.sin((x + shift) / (9 + number)), (10 * SECONDS, 64, 96, 3))
        pitch = 200 + 3 * (number * SECONDS + np.arange(16_000 * SECONDS) // 16_000)
        sound = 0.2 * np.sin(2 * np.pi * np.cumsum(pitch) / 16_000)
        write_mp4(folder / f"{number}.mp4", frames.astype(np.uint8), 10, sound.astype(np.float32), 16_000)
    return folder


def preset_for(url, folder):
    (folder / "policy.yaml").write_text(
        "name: all\ngates:\n  - {name: quiet, measure: audio.loudness.rms_db, min: -60, source: ours}\n"
    )
    path = folder / "preset.yaml"
    path.write_text(PRESET.replace("POLICY", str(folder / "policy.yaml")).replace("URL", url))
    return path


def recorded(out):
    """Clip -> the id of the question that the written-down answer is about."""
    found = Counter()
    for path in (out / "cache" / STAGE).glob("b*/*.jsonl"):
        for name, record in journal.lines(path).items():
            found[name.partition(".")[0], about(json.loads(record["text"])["dense"])] += 1
    return found


def about(caption):
    return caption.rpartition(" ")[2].rstrip(".")


def test_killed_half_way(lone, sources, tmp_path, orders, tally):
    out = tmp_path / "out"
    with serving(share=0.25, slow_s=3.0, pause_s=0.5) as server:
        preset = preset_for(server.url, tmp_path)
        lone.finish(out, ["ingest", "filter"], sources=[str(sources)], preset=preset)
        argv = [sys.executable, "-m", "pipeline.cli", "annotate", "--out", out, "--preset", preset, "--json"]
        env = sabotaged(KLEAR_ORDERS=orders.folder)
        run = start(argv, env, tmp_path / "log")
        wait_for(lambda: sum(recorded(out).values()) >= CLIPS // 2 or run.poll() is not None, "no answers")
        wait_for(lambda: server.busy >= 4 or run.poll() is not None, "nothing under way")
        assert run.poll() is None, (tmp_path / "log").read_text()
        while left := orders.processes():
            for pid in left:
                kill(pid)
        wait_for(lambda: not server.busy, "requests of the dead are still under way")
        before, known = set(server.questions()), {name for _, name in recorded(out)}
        in_flight = before - known
        first = len(server.log)
        again = subprocess.run([str(word) for word in argv], env=env, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        asked = Counter(entry["id"] for entry in server.log[first:] if entry["event"] == "asked")
    twice, repeated = in_flight & set(asked), known & set(asked)
    rows = Catalog(out).current(STAGE).read().to_pylist()
    answers = recorded(out)
    fates = Counter(entry["fate"] for entry in server.log if entry["event"] == "asked")
    told = json.loads(again.stdout)
    print(
        f"\n{CLIPS} clips, {sum(fates.values())} requests {dict(fates)}; killed with {len(known)} answers written down "
        f"and {len(in_flight)} requests under way (at most {WORKERS * AT_ONCE}), {len(twice)} of them asked again, "
        f"{len(repeated)} written-down ones asked again; {told['ok']} captions, {told['summary']}"
    )
    assert CLIPS // 2 <= len(known) < CLIPS and 0 < len(in_flight) <= WORKERS * AT_ONCE
    assert not repeated and server.most_busy <= WORKERS * AT_ONCE
    pairs = {(row["clip_id"].hex(), about(row["caption"])) for row in rows if row["status"] == "ok"}
    found = Differences(
        lost=CLIPS - len({row["clip_id"] for row in rows if row["status"] == "ok"}),
        duplicated=len(rows) - len({about(row["caption"]) for row in rows}) + sum(answers.values()) - len(answers),
        differing=len(pairs ^ set(answers)),
    )
    tally("kill -9 of all processes between answers of an endpoint", 1, found)
    assert told["summary"][STAGE]["tokens"] >= 50 * CLIPS
