"""A clip that crashes, hangs or eats the memory of what decodes or measures it: it alone is quarantined, and why."""

import sys

import imageio_ffmpeg
import pytest

from manifests.catalog import Catalog
from tests.faults import results
from tests.faults.conftest import JOBS
from tests.faults.same import differences

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

FILE = "clip2.mp4"
CODES = {"segfault": "media:crash", "hang": "media:timeout", "memory": "media:memory"}
ALL = sorted(CODES) if results.FULL else []
FFMPEG = f"""#!/bin/sh
# ffmpeg that misbehaves at one file, or at one place of it
case "$*" in *"$KLEAR_BAD_FILE"*"$KLEAR_BAD_PLACE"*)
    case "$KLEAR_BAD" in
        segfault) kill -SEGV $$ ;;
        hang) exec sleep 1000 ;;
        memory) exec {sys.executable} -S -c 'held = [b"x" * (32 << 20) for _ in range(640)]' ;;
    esac ;;
esac
exec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"
"""
SECOND = "setpts=PTS-999"
"""In the graph of the clip that starts after a second, and in no other."""


@pytest.fixture
def bad_ffmpeg(tmp_path):
    """Settings of a run whose ffmpeg fails at FILE, in the way of `ending`, where the graph holds `place`."""
    script = tmp_path / "ffmpeg"
    script.write_text(FFMPEG)
    script.chmod(0o755)

    def settings(ending, place=""):
        env = {"IMAGEIO_FFMPEG_EXE": str(script), "KLEAR_BAD": ending, "KLEAR_BAD_FILE": FILE, "KLEAR_BAD_PLACE": place}
        limits = {"max_rss": 256 << 20} if ending == "memory" and not results.FULL else {}
        limits |= {"timeout_s": 3} if ending == "hang" else {}
        return {"env": env, "guard": {"of": FILE, **limits}} if limits else {"env": env}

    return settings


@pytest.fixture
def victim(undisturbed):
    """The source at whose second clip something happens: its rows, and the row of that clip."""
    catalog = Catalog(undisturbed.after("ingest"))
    source = next(row for row in catalog.current("sources").read().to_pylist() if row["name"] == FILE)
    clips = [row for row in catalog.current("clips").read().to_pylist() if row["source_id"] == source["source_id"]]
    return source, max(clips, key=lambda row: row["start_us"])


def causes(out, table, key):
    """Stage and code of quarantined rows, by their ids."""
    rows = Catalog(out).current(table).read().to_pylist()
    return {row[key].hex(): (row["error_stage"], row["error_code"]) for row in rows if row["status"] == "quarantined"}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ALL or ["segfault"])
def test_at_a_source_while_its_shots_are_found(lone, undisturbed, tmp_path, tally, bad_ffmpeg, victim, ending):
    out, source = tmp_path / "out", victim[0]["source_id"].hex()
    lone.finish(out, ["ingest"], **bad_ffmpeg(ending))
    assert causes(out, "cuts", "source_id") == {source: ("cut", CODES[ending])}
    found = differences(out, undisturbed.after("ingest"), {source})
    tally(f"a source whose decoding ends in: {ending}", 1, found)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ALL or ["hang", "segfault"])
def test_at_a_clip_while_it_is_rendered(lone, undisturbed, tmp_path, tally, bad_ffmpeg, victim, ending):
    out, clip = undisturbed.before("filter", tmp_path / "out"), victim[1]["clip_id"].hex()
    lone.finish(out, ["filter"], **bad_ffmpeg(ending, SECOND))
    assert causes(out, "video.stills", "clip_id") == {clip: ("render", CODES[ending])}
    lone.finish(out, JOBS[2:])
    tally(f"a clip whose decoding ends in: {ending}", 1, differences(out, undisturbed.after("shard"), {clip}))


@pytest.mark.parametrize("ending", ALL or ["memory"])
def test_at_a_clip_while_it_is_encoded(lone, undisturbed, tmp_path, tally, bad_ffmpeg, victim, ending):
    out, clip = undisturbed.before("shard", tmp_path / "out"), victim[1]["clip_id"].hex()
    lone.finish(out, ["shard"], **bad_ffmpeg(ending, SECOND))
    assert causes(out, "samples", "clip_id") == {clip: ("encode", CODES[ending])}
    tally(f"a clip whose encoding ends in: {ending}", 1, differences(out, undisturbed.after("shard"), {clip}))


@pytest.mark.parametrize("ending", ALL or ["segfault"])
def test_at_a_source_while_it_is_probed(lone, undisturbed, tmp_path, tally, victim, ending):
    source = victim[0]
    lone.finish(tmp_path, ["ingest"], env={"KLEAR_BAD_PROBE": f"{ending} {FILE}"})
    assert causes(tmp_path, "probes", "source_key")[source["source_key"].hex()] == ("probe", CODES[ending])
    found = differences(tmp_path, undisturbed.after("ingest"), {source["source_id"].hex(), source["source_key"].hex()})
    tally(f"a source at which PyAV ends in: {ending}", 1, found)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ALL or ["segfault"])
def test_at_a_clip_in_a_stage(lone, undisturbed, tmp_path, tally, victim, ending):
    """Native code of a model that takes its process with it, in a real hand."""
    out, clip = undisturbed.before("filter", tmp_path / "out"), victim[1]["clip_id"].hex()
    limits = {"hang": ["engine.clip_timeout_s=30"], "memory": ["engine.max_rss_gib=1.5"]}.get(ending, [])
    lone.finish(out, ["filter"], env={"KLEAR_POISON": f"{ending} {clip}"}, hands="real", sets=limits)
    code = {"segfault": "crash:SIGSEGV", "hang": "crash:timeout", "memory": "crash:memory"}[ending]
    assert causes(out, "audio.loudness", "clip_id") == {clip: ("work", code)}
    lone.finish(out, JOBS[2:])
    tally(f"a clip at which a stage ends in: {ending}", 1, differences(out, undisturbed.after("shard"), {clip}))


@pytest.mark.slow
def test_at_a_clip_among_others_in_hand(lone, undisturbed, tmp_path, tally, victim):
    """Clips that are held together die together, and only the one that ends its process alone is blamed."""
    out, clip = undisturbed.before("filter", tmp_path / "out"), victim[1]["clip_id"].hex()
    together = ["engine.needs={measure.cheap: {clips_at_once: 8}, measure.dear: {clips_at_once: 8}}"]
    lone.finish(out, ["filter"], env={"KLEAR_POISON": f"segfault {clip}"}, hands="real", sets=together)
    assert causes(out, "audio.loudness", "clip_id") == {clip: ("work", "crash:SIGSEGV")}
    lone.finish(out, JOBS[2:])
    tally("a clip among others in hand at which a stage ends in: segfault", 1,
          differences(out, undisturbed.after("shard"), {clip}))  # fmt: skip
