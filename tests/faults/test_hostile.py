"""A folder of everything that files can be, ingested at once: all accounted for, nothing followed, nothing hangs."""

import ctypes
import io
import os
import random
import struct
import subprocess
import tarfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import imageio_ffmpeg
import pytest

from manifests.catalog import Catalog
from tests.faults.same import Differences

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

NAMES = [
    "名前 é.mp4", "it's \"quoted\".mp4", "two  spaces .mp4", "new\nline.mp4", "-dash.mp4", "-i", "$(touch hit).mp4",
    "`touch hit`.mp4", "a;touch hit;.mp4", "bad\udcff.mp4", "a%03d.mp4", "*.mp4", "[0:v].mp4", "back\\slash.mp4",
    "concat:a.mp4|b.mp4", "pipe:0.mp4",
]  # fmt: skip
OK, BAD, EITHER = {"ok"}, {"quarantined", "ineligible"}, {"ok", "quarantined"}
HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:8,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"
EXTENSIONS = ["m3u8", "mp4", "mkv", "ts", "mov", "avi", "ffconcat", "txt", "webm", "mpd"]


def box(kind, data):
    return struct.pack(">I4s", len(data) + 8, kind) + data


def put(folder, name, data):
    """Write a file, whatever its name."""
    with open(os.fsencode(folder) + b"/" + os.fsencode(name), "wb") as file:
        file.write(data)


def oddly_named(folder, good):
    """Good sources of different content under odd names."""
    for name in NAMES:
        put(folder, name, good + box(b"free", os.fsencode(name)))
    return dict.fromkeys(NAMES, OK)


def damaged(folder, good):
    """Zero bytes, a part, flipped bits, a lie about the length, noise."""
    draw = random.Random(5)
    rotten = bytearray(good)
    for _ in range(200):
        rotten[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
    at = good.index(b"mdhd") + 4 + 16
    lying = good[:at] + struct.pack(">I", 1000 * struct.unpack_from(">I", good, at)[0]) + good[at + 4 :]
    files = {"zero.mp4": b"", "part.mp4": good[: len(good) // 2], "noise.mp4": draw.randbytes(50_000)}
    files |= {"rotten.mp4": bytes(rotten), "lying.mp4": lying, "head.mp4": good[:40]}
    for name, data in files.items():
        put(folder, name, data)
    return dict.fromkeys(files, BAD) | dict.fromkeys(["rotten.mp4", "lying.mp4"], EITHER)


def bomb(folder):
    """JPEG pictures, and a container, that say they are 65,000 x 16,000."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=128x96:r=25:d=1"]
    argv += ["-f", "lavfi", "-i", "sine=d=1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"]
    data = subprocess.run([*argv, "-f", "avi", "pipe:1"], check=True, capture_output=True).stdout
    start = b"\xff\xc0\x00\x11\x08"
    assert start + struct.pack(">HH", 96, 128) in data
    data = data.replace(start + struct.pack(">HH", 96, 128), start + struct.pack(">HH", 16_000, 65_000))
    put(folder, "bomb.avi", data.replace(struct.pack("<II", 128, 96), struct.pack("<II", 65_000, 16_000)))
    return {"bomb.avi": {"quarantined"}}


def odd_entries(folder):
    """Links that loop or lead nowhere, and a pipe that nobody writes to."""
    (folder / "loop").symlink_to(folder)
    (folder / "self.mp4").symlink_to(folder / "self.mp4")
    (folder / "nowhere.mp4").symlink_to(folder / "absent")
    os.mkfifo(folder / "pipe.mp4")
    return dict.fromkeys(["self.mp4", "nowhere.mp4", "pipe.mp4"], BAD)


def pointers(folder, secret, url):
    """Playlists and concat scripts that point at a file outside and at a server, under any extension."""
    texts = {}
    for extension in EXTENSIONS:
        for at, target in (("in", secret), ("out", url)):
            texts |= {f"hls-{at}.{extension}": HLS.format(target), f"concat-{at}.{extension}": CONCAT.format(target)}
    for name, text in texts.items():
        put(folder, name, text.encode())
    return dict.fromkeys(texts, BAD)


def tars(folder, good):
    """A tar whose members climb out, are links and devices, or are good; and one that breaks off."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("good.mp4", "../climbs.mp4", "/tmp/absolute.mp4", "a/../../climbs.mp4"):
            info = tarfile.TarInfo(name)
            info.size = len(good) + 8 + len(name)
            tar.addfile(info, io.BytesIO(good + box(b"free", name.encode())))
        for name, kind in (("link.mp4", tarfile.SYMTYPE), ("hard.mp4", tarfile.LNKTYPE), ("dev.mp4", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    put(folder, "members.tar", data.getvalue())
    put(folder, "broken.tar", data.getvalue()[: len(good) // 2])
    members = ["../climbs.mp4", "/tmp/absolute.mp4", "a/../../climbs.mp4", "link.mp4", "hard.mp4", "dev.mp4"]
    expected = {f"members.tar#{name}": BAD for name in members}
    return expected | {"members.tar#good.mp4": {"ok"}, "broken.tar": {"quarantined"}}


class Opened:
    """Counts how often any process opens a file, by inotify."""

    def __init__(self, path):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._fd >= 0 and self._libc.inotify_add_watch(self._fd, os.fsencode(path), 0x20) >= 0

    def events(self):
        """Bytes of events so far; empty when nobody opened it."""
        try:
            return os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return b""


@pytest.fixture
def server():
    """Url of a real loopback server, and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *about):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/x.mp4", asked
        http.shutdown()


def test_a_folder_of_everything(lone, small_sources, tmp_path, tally, server, monkeypatch):
    url, asked = server
    folder, secret = tmp_path / "in", tmp_path / "secret.mp4"
    folder.mkdir()
    good = (small_sources / "clip0.mp4").read_bytes()
    secret.write_bytes((small_sources / "clip1.mp4").read_bytes())
    expected = oddly_named(folder, good) | damaged(folder, good) | bomb(folder) | odd_entries(folder)
    expected |= pointers(folder, secret, url) | tars(folder, good)
    watch = Opened(secret)
    result = lone.finish(tmp_path / "out", ["ingest"], sources=[str(folder)], sets=["engine.max_error_rate=1.0"])
    assert watch.events() == b"" and asked == []
    rows = Catalog(tmp_path / "out").current("sources").read().to_pylist()
    found = {row["name"]: row["outcome"] for row in rows}
    wrong = {name: (found.get(plain(name)), codes(rows, name)) for name, fine in expected.items()
             if found.get(plain(name)) not in fine}  # fmt: skip
    assert not wrong
    more = [name for name in found if name not in set(map(plain, expected)) and not name.startswith("broken.tar#")]
    assert more == [] and Counter(found.values()) == Counter(
        {
            name: result["ingest"][name]
            for name in ("ok", "ineligible", "duplicate", "quarantined")
            if result["ingest"][name]
        }
    )
    assert result["ingest"]["pending"] == 0 and result["ingest"]["sources"] == len(rows) == len(found)
    assert not [path for path in tmp_path.rglob("*") if path.name in {"hit", "climbs.mp4", "absolute.mp4"}]
    with open(secret, "rb"):
        assert watch.events(), "nobody's opening would be noticed"
    lost = Differences(lost=len(expected.keys() - {name for name in expected if plain(name) in found}))
    tally("hostile files and names in one folder", len(expected), lost)


def plain(name):
    """A name as the tables hold it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def codes(rows, name):
    """Why a source is not what it should be."""
    return [(row["error_code"], row["error_message"]) for row in rows if row["name"] == plain(name)]
