"""The source store: what is pinned stays, what is old goes, and what was ingested must still be the same."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manifests.errors import MachineError, MediaError
from pipeline.sources import store as store_module
from pipeline.sources import urls
from pipeline.sources.ahead import fetching
from pipeline.sources.evict import make_room
from pipeline.sources.store import Store


@pytest.fixture(autouse=True)
def no_pins(monkeypatch):
    """Each test starts with nothing pinned."""
    for descriptor in store_module._pins.values():
        os.close(descriptor)
    store_module._pins.clear()


def ingested(row, held):
    """The row as the probes and clips tables have it."""
    return {**row, "source_id": held.content, "bytes": held.size, "version": held.version}


def test_another_node_fetches_what_was_ingested(site, make_store, tmp_path):
    row = urls.row(site.put("/a.mp4", b"one"))
    clip = ingested(row, make_store().get(row))
    other = make_store(cache=str(tmp_path / "other"))
    assert other.get(clip).path.read_bytes() == b"one"


def test_what_was_ingested_and_is_another_now(site, make_store, tmp_path):
    row = urls.row(site.put("/a.mp4", b"one"))
    clip = ingested(row, make_store().get(row))
    site.put("/a.mp4", b"two", etag='"v2"')
    assert make_store().get(clip).path.read_bytes() == b"one"  # this node still has it
    elsewhere = make_store(cache=str(tmp_path / "other"))
    with pytest.raises(MediaError) as caught:
        elsewhere.get(clip)
    assert caught.value.code == "media:changed"
    del site.files["/a.mp4"]
    with pytest.raises(MediaError) as caught:
        elsewhere.get(clip)
    assert caught.value.code == "media:missing"


def test_local_files_are_used_in_place(tmp_path, make_store):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    row = {"uri": path.as_uri(), "name": "a.mp4", "bytes": 3, "version": f"mtime:{path.stat().st_mtime_ns}"}
    assert make_store().get(row).path == path and not (tmp_path / "cache").exists()
    clip = row | {"source_id": b"x" * 16}
    path.write_bytes(b"other")
    with pytest.raises(MediaError) as caught:
        make_store().get(clip)
    assert caught.value.code == "media:changed"
    path.unlink()
    with pytest.raises(MediaError) as caught:
        make_store().get(clip)
    assert caught.value.code == "media:missing"


def test_the_longest_unused_goes_first_and_pinned_ones_stay(site, make_store, monkeypatch):
    monkeypatch.setattr(store_module, "PINS", 1)
    store = make_store(cache_gb=250e-6, robots=False)
    paths = {}
    for name in "abc":
        paths[name] = store.get(urls.row(site.put(f"/{name}.mp4", bytes(80_000)))).path
        time.sleep(0.02)
    store.get(urls.row(f"{site.url}/a.mp4"))  # used again: b is the oldest now
    time.sleep(0.02)
    paths["d"] = store.get(urls.row(site.put("/d.mp4", bytes(80_000)))).path
    assert {name for name, path in paths.items() if path.exists()} == {"a", "d"}
    assert not paths["b"].parent.parent.exists()  # nothing is left of it
    assert len(site.requests("/a.mp4")) == 1
    assert store.get(urls.row(f"{site.url}/b.mp4")).path == paths["b"] and len(site.requests("/b.mp4")) == 2


def test_what_another_process_uses_is_never_evicted(site, make_store):
    store = make_store(cache_gb=100e-6, robots=False)
    row = urls.row(site.put("/a.mp4", bytes(80_000)))
    store.get(row)
    code = (
        "import sys, json\nfrom pipeline.config import SourceSettings\nfrom pipeline.sources.store import Store\n"
        "store = Store(SourceSettings.model_validate_json(sys.argv[1]))\n"
        "held = store.get({'uri': sys.argv[2], 'name': 'a.mp4', 'version': ''})\n"
        "print(held.path, flush=True)\nsys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", code, store.settings.model_dump_json(), row["uri"]]
    user = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    path = Path(user.stdout.readline().strip())
    os.close(store_module._pins.popitem()[1])
    store.get(urls.row(site.put("/b.mp4", bytes(80_000))))
    assert path.exists()
    user.kill()
    user.wait()
    store.get(urls.row(site.put("/c.mp4", bytes(80_000))))
    assert not path.exists()  # it died, and with it its pin
    user.stdout.close()


def test_a_damaged_store_heals(site, make_store):
    store, row = make_store(robots=False), urls.row(site.put("/a.mp4", b"one"))
    held = store.get(row)
    held.path.write_bytes(b"")
    assert store.get(row).path.read_bytes() == b"one"
    (held.path.parent / "about.json").write_text("{")
    assert store.get(row).path.read_bytes() == b"one"


def test_a_store_that_cannot_be_written_is_an_error_of_the_machine(site, make_store, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(MachineError, match=r"sources\.cache"):
        make_store().get(urls.row(site.put("/a.mp4", b"one")))


def test_the_default_store_is_this_users_own(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Store().root == tmp_path / f"klear-cache-{os.getuid()}"


def test_the_next_sources_are_fetched_ahead_and_failures_wait_their_turn(site, make_store):
    store = make_store(ahead=2, robots=False, per_host=4, retries=0)
    rows = [urls.row(site.put(f"/{n}.mp4", b"x" * (n + 1))) for n in range(5)]
    rows[2] = urls.row(site.put("/gone.mp4", first=[(404, {})] * 9))
    with fetching(store, rows) as sources:
        assert sources.get(rows[0]).size == 1
        until = time.monotonic() + 5
        while len(site.asked) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert {path for path, *_ in site.asked} == {"/0.mp4", "/1.mp4", "/gone.mp4"}
        assert sources.get(rows[1]).size == 2
        with pytest.raises(MediaError) as caught:
            sources.get(rows[2])
        assert caught.value.code == "source:gone"
        assert sources.get(rows[4]).size == 5
    assert len(site.requests("/gone.mp4")) == 1


def test_what_has_just_come_is_pinned_before_others_can_evict_it(site, make_store, monkeypatch):
    store = make_store(robots=False)
    discard = store_module.Partial.discard

    def others_evict(partial):
        discard(partial)
        make_room(store.root, 10, 1)

    monkeypatch.setattr(store_module.Partial, "discard", others_evict)
    assert store.get(urls.row(site.put("/a.mp4", b"one"))).path.read_bytes() == b"one"


CROWD = """
import sys
from pipeline.config import SourceSettings
from pipeline.sources import store, urls
store.PINS = 1
kept = store.Store(SourceSettings.model_validate_json(sys.argv[1]))
for turn in range(5):
    for number in range(6):
        size = kept.get(urls.row(f"{sys.argv[2]}/{number}.mp4")).path.stat().st_size
        assert size == 50_000 + number, size
"""


def test_a_crowd_in_a_store_that_is_too_small(site, make_store):
    """Everyone evicts what the others are about to use, all the time; nobody ever meets a file that is not there."""
    settings = make_store(cache_gb=60e-6, robots=False, per_host=8).settings
    for number in range(6):
        site.put(f"/{number}.mp4", bytes(50_000 + number))
    argv = [sys.executable, "-c", CROWD, settings.model_dump_json(), site.url]
    crowd = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(one.wait(60), one.stderr.read()) for one in crowd] == [(0, b"")] * 4
    assert len(site.asked) > 20  # it was too small indeed
