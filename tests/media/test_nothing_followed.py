"""Files that point at other files or at the network are never followed: not by probe, shots, views or the encoder."""

import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import MediaError
from media import ffmpeg
from media.clip import clip_from_probe
from media.encode import EncodeRecipe, encode_bytes
from media.probe import Probe, probe
from media.render import render_views
from media.shots import detect_shots
from media.views import VideoView

SMALL = VideoView("small", box=(32, 24))


class Server:
    """A real server on the loopback that gives everyone the same bytes, and counts who asked."""

    def __init__(self, data: bytes) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.asked = asked
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/x.mp4"


@pytest.fixture
def server(flashes) -> Iterator[Server]:  # type: ignore[no-untyped-def]
    made = Server(flashes.path.read_bytes())
    thread = threading.Thread(target=made.http.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def outcomes(path: Path, like: Probe) -> dict[str, str]:
    """What each way of looking at a file says, when told to expect what `like` describes: ok or an error's code."""
    ids = {"clip_id": bytes(16), "source_id": bytes(16)}
    clip = clip_from_probe(path, like, 0, 20, **ids)
    ways: dict[str, Callable[[], object]] = {
        "probe": lambda: probe(path),
        "shots": lambda: detect_shots(path, like, timeout_s=20),
        "views": lambda: _render(clip),
        "encode": lambda: encode_bytes(clip, EncodeRecipe(preset="ultrafast")),
    }
    found = {}
    for name, way in ways.items():
        try:
            way()
            found[name] = "ok"
        except MediaError as error:
            found[name] = error.code
    return found


def _render(clip) -> np.ndarray:  # type: ignore[no-untyped-def]
    with render_views(clip, [SMALL]) as views:
        return np.array(views[SMALL])


def pointers(target: Path, url: str) -> dict[str, str]:
    """Texts that some program would open as media, by the name they carry."""
    file = f"file://{target}"
    hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:8,\n{}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        "<Period><AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'><BaseURL>{}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>"
    )
    return {
        "local.m3u8": hls.format(file),
        "local.mp4": hls.format(file),
        "bare.mkv": hls.format(target),
        "remote.m3u8": hls.format(url),
        "remote.ts": hls.format(url),
        "list.ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "list.mp4": f"ffconcat version 1.0\nfile '{target}'\n",
        "remote.mov": f"ffconcat version 1.0\nfile '{url}'\n",
        "local.mpd": dash.format(target),
        "remote.mp4": dash.format(url),
        "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "old.smil": f'<smil><body><video src="{url}"/></body></smil>',
        "old.asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "old.pls": f"[playlist]\nFile1={url}\nNumberOfEntries=1\n",
        "old.wmv": f"[Reference]\r\nRef1={url}\r\n",
        "script.avs": f'DirectShowSource("{target}")\n',
        "meta.txt": f";FFMETADATA1\ntitle={url}\n",
        "link.rtsp": f"RTSPtext\nrtsp://{url[7:]}\n",
    }


def test_texts_that_point_elsewhere(flashes, server: Server, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    like = probe(flashes.path)
    for name, text in pointers(flashes.path.absolute(), server.url).items():
        (tmp_path / name).write_text(text)
        found = outcomes(tmp_path / name, like)
        assert found["probe"] == "media:not_media", name
        assert set(found.values()) <= {"media:not_media", "media:ffmpeg_failed", "media:truncated"}, (name, found)
    assert server.asked == []


def box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I4s", len(data) + 8, kind) + data


def alias(target: Path) -> bytes:
    """A QuickTime alias record that says: the media is in `target`, an absolute path."""
    path = str(target).encode()
    path += b"\0" * (len(path) % 2)
    levels = struct.pack(">hh", 1, 1)
    head = bytes(10) + b"\x01/" + bytes(26) + bytes(12) + b"\x01x" + bytes(62) + bytes(16) + levels + bytes(16)
    return head + struct.pack(">hh", 2, len(path)) + path + struct.pack(">hh", -1, 0) + bytes(40)


def with_references(movie: bytes, entry: bytes) -> bytes:
    """The MP4 without its media, and with the data reference of every track replaced by `entry`."""

    def walk(data: bytes) -> bytes:
        out, at = [], 0
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            inside = data[at + 8 : at + size]
            if kind in {b"moov", b"trak", b"mdia", b"minf", b"dinf"}:
                inside = walk(inside)
            elif kind == b"mdat":
                inside = b""
            elif kind == b"dref":
                inside = struct.pack(">II", 0, 1) + entry
            out.append(box(kind, inside))
            at += size
        return b"".join(out)

    return walk(movie)


def test_movies_whose_media_is_elsewhere(flashes, server: Server, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    movie, like = flashes.path.read_bytes(), probe(flashes.path)
    (tmp_path / flashes.path.name).write_bytes(movie)  # ffmpeg looks for an alias from the folder of the movie
    entries = {
        "alias": box(b"alis", bytes(4), alias(flashes.path.absolute())),
        "url": box(b"url ", bytes(4), server.url.encode() + b"\0"),
        "file_url": box(b"url ", bytes(4), f"file://{flashes.path.absolute()}".encode() + b"\0"),
    }
    for name, entry in entries.items():
        (tmp_path / f"{name}.mov").write_bytes(with_references(movie, entry))
        found = outcomes(tmp_path / f"{name}.mov", like)
        assert "ok" not in found.values(), (name, found)
    assert server.asked == []
    follow = ["-enable_drefs", "1", "-use_absolute_path", "1", "-i", str(tmp_path / "alias.mov")]
    argv = [ffmpeg.binary(), "-loglevel", "error", *follow, "-map", "0:v", "-f", "framecrc", "-"]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert shown.count("\n0,") >= 199, "the alias leads nowhere: this test would pass whatever we did"


def element(ident: bytes, data: bytes) -> bytes:
    return ident + struct.pack(">Q", len(data) | 1 << 56) + data


def test_matroska_segments_are_not_linked(make_flashes, flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = make_flashes("plain.mkv", seconds=3)
    uid, name = bytes(range(16)), str(flashes.path.absolute()).encode()
    names = [element(b"\x3e\xb9\x23", uid), element(b"\x3e\x83\xbb", name), element(b"\x3c\x83\xab", name)]
    info = element(b"\x15\x49\xa9\x66", b"".join([*names, element(b"\x2a\xd7\xb1", b"\x0f\x42\x40")]))
    (tmp_path / "linked.mkv").write_bytes(made.path.read_bytes() + info)
    assert probe(tmp_path / "linked.mkv").video.frames == 75


def test_a_playlist_inside_an_avi(flashes, server: Server, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A subtitle block (GAB2) that is a playlist: a demuxer inside the demuxer."""
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:8,\n{server.url}\n#EXT-X-ENDLIST\n".encode()
    title = "x".encode("utf-16-le") + bytes(2)
    block = b"GAB2\0" + struct.pack("<HI", 2, len(title)) + title + struct.pack("<HI", 4, len(hls)) + hls
    stream = b"txts" + bytes(16) + struct.pack("<III", 1, 25, 0) + struct.pack("<I", 1) + bytes(16)
    main = struct.pack("<IIIIIIIIII", 40_000, 0, 0, 0x10, 1, 0, 1, 0, 64, 48) + bytes(16)
    header = b"hdrl" + riff(b"avih", main) + riff(b"LIST", b"strl" + riff(b"strh", stream) + riff(b"strf", bytes(4)))
    body = b"AVI " + riff(b"LIST", header) + riff(b"LIST", b"movi" + riff(b"00tx", block))
    (tmp_path / "subtitled.avi").write_bytes(riff(b"RIFF", body))
    found = outcomes(tmp_path / "subtitled.avi", probe(flashes.path))
    assert "ok" not in found.values()
    assert server.asked == []


def riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


@pytest.mark.parametrize(
    "name",
    [
        "new\nline.mp4", "a%03d.mp4", "*.mp4", "concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:x.mp4", "pipe:0.mp4",
        "-y", "$(touch hit).mp4", "`touch hit`.mp4", "a;touch hit;.mp4", "'\".mp4", "back\\slash.mp4", "[0:v].mp4",
        "名前 é.mp4", "bad\udcff.mp4", " .mp4",
    ],
    ids=ascii,
)  # fmt: skip
def test_names_mean_nothing_anywhere(make_flashes, tmp_path: Path, monkeypatch, name: str) -> None:  # type: ignore[no-untyped-def]
    made = make_flashes("short.mp4", seconds=2)
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(made.path.read_bytes())
    found = outcomes(Path(name), probe(made.path))
    assert found == dict.fromkeys(("probe", "shots", "views", "encode"), "ok")
    assert not (tmp_path / "hit").exists()
    assert len(list(tmp_path.iterdir())) == 1
