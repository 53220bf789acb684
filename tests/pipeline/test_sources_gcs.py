"""Google buckets, to the emulator that PyPI has. The service itself is not reached here."""

import http.client
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import fsspec
import pytest

from manifests import files
from manifests.errors import ConfigError
from pipeline.sources import find

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("gcp_storage_emulator"), reason="no gcp-storage-emulator here"),
]


@pytest.fixture(scope="module")
def gs():
    """A bucket `raw` on an emulator of its own; the environment names it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    argv = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}"]
    emulator = subprocess.Popen([*argv, "--in-memory", "--default-bucket=raw"], stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it would ask the real service over gRPC
        patch.setenv("FSSPEC_GS_TOKEN", "anon")
        for _ in range(100):
            time.sleep(0.1)
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield fsspec.filesystem("gs", token="anon")
    emulator.kill()
    emulator.wait()


def test_a_prefix_is_listed_and_fetched(gs, make_store):
    names = ["a b.mp4", "sub/c.mp4", "é.mp4"]
    for name in names:
        gs.pipe_file(f"raw/in/{name}", name.encode())
    gs.pipe_file("raw/other.mp4", b"not below the prefix")
    store = make_store()
    rows = list(find.rows(["gs://raw/in"], store))
    assert [row["name"] for row in rows] == names
    assert {row["name"]: store.get(row).path.read_bytes().decode() for row in rows} == {name: name for name in names}
    assert all(row["version"] == store.get(row).version for row in rows)


def test_a_bucket_that_is_not_there(gs, make_store):
    with pytest.raises(ConfigError, match="nosuch"):
        list(find.rows(["gs://nosuch/in"], make_store()))


class Conditions(BaseHTTPRequestHandler):
    """In front of the emulator, which knows no conditions: an upload that must not replace gets a 412."""

    protocol_version = "HTTP/1.1"
    there: ClassVar[set[bytes]] = set()
    refused: ClassVar[list[bytes]] = []

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = re.search(rb'"name": *"([^"]+)"', body)[1]
        if "ifGenerationMatch=0" in self.path and name in self.there:
            self.refused.append(name)
            self._answer(412, b'{"error": {"code": 412, "message": "conditionNotMet"}}')
        else:
            self.there.add(name)
            self._answer(*self._passed_on(body))

    def do_GET(self):
        self._answer(*self._passed_on(None))

    def _passed_on(self, body):
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        asked = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        asked.request(self.command, self.path, body, headers)
        said = asked.getresponse()
        return said.status, said.read()

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_output_the_first_writer_wins(gs, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Conditions)
    server.daemon_threads, server.behind = True, int(os.environ["STORAGE_EMULATOR_HOST"].rpartition(":")[2])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(type(gs), "_cache", {})
    folder = files.root("gs://raw/out")
    assert files.publish(folder / "t" / "part", lambda file: file.write(b"first"))
    monkeypatch.setattr(files, "exists", lambda path: False)  # both have looked before the other wrote
    assert not files.publish(folder / "t" / "part", lambda file: file.write(b"second"))
    assert Conditions.refused == [b"out/t/part"]
    assert files.read(folder / "t" / "part") == b"first" and files.names(folder / "t") == ["part"]
    for text in (b"one", b"two"):
        files.replace(folder / "t" / "pointer", lambda file, text=text: file.write(text))
    assert files.read(folder / "t" / "pointer") == b"two"
    server.shutdown()
