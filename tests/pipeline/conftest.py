"""A small web server that can be told to behave badly, for the tests of sources."""

import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.config import SourceSettings
from pipeline.sources.store import Store


@dataclass
class File:
    """What a path answers. first: (status, headers) of the first answers. cuts: bytes after which the first
    connections are cut. length: the Content-Length that it claims. pause_s: before each 64 KiB."""

    data: bytes = b""
    etag: str | None = '"v1"'
    modified: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    first: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    length: int | None = None
    status: int = 200
    pause_s: float = 0.0


@dataclass
class Site:
    """The server: what it has by path, and what it was asked (path, headers, time, requests under way)."""

    url: str
    files: dict[str, File] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], float, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: int = 0

    def put(self, path, data=b"", **options):
        """Have `data` at `path`; its url."""
        self.files[path] = File(data, **options)
        return self.url + path

    def requests(self, path):
        return [headers for asked, headers, _, _ in self.asked if asked == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        site = self.server.site
        with site.lock:
            site.busy += 1
            site.asked.append((self.path, dict(self.headers), time.time(), site.busy))
        try:
            self._answer(site.files.get(self.path))
        except (ConnectionError, BrokenPipeError):
            self.close_connection = True
        finally:
            with site.lock:
                site.busy -= 1

    def _answer(self, file):
        if file is None or file.first:
            status, headers = file.first.pop(0) if file else (404, {})
            self._head(status, [*headers.items(), ("Content-Length", "0")])
            return
        start = self._start(file)
        if start is not None and start >= len(file.data):
            self._head(416, [("Content-Range", f"bytes */{len(file.data)}"), ("Content-Length", "0")])
            return
        body = file.data[start or 0 :]
        headers = [*file.headers, ("Content-Length", str(len(body) if file.length is None else file.length))]
        headers += [("ETag", file.etag)] if file.etag else []
        headers += [("Last-Modified", file.modified)] if file.modified else []
        if start is not None:
            headers.append(("Content-Range", f"bytes {start}-{len(file.data) - 1}/{len(file.data)}"))
        self._head(206 if start is not None else file.status, headers)
        cut = file.cuts.pop(0) if file.cuts else None
        for at in range(0, len(body[:cut]), 1 << 16):
            time.sleep(file.pause_s)
            self.wfile.write(body[:cut][at : at + (1 << 16)])
        if cut is not None or file.length is not None:
            self.close_connection = True

    def _start(self, file):
        """Where a range asked for starts, None when the whole is to be sent."""
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in {None, file.etag, file.modified}
        return int(asked[1]) if asked and same and file.ranges else None

    def _head(self, status, headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def serve():
    """Starts sites: `serve()` is one more of them."""
    servers = []

    def start():
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *about: None  # a client that hangs up is what many of these tests are about
        server.site = Site(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server.site

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(serve):
    return serve()


@pytest.fixture
def make_store(tmp_path):
    """Stores of this test's own cache, quick to retry; settings by name."""

    def make(**settings):
        quick = {"private_hosts": True, "delay_s": 0.0, "backoff_s": 0.01, "backoff_max_s": 0.1, "silence_s": 2.0}
        return Store(SourceSettings(**{"cache": str(tmp_path / "cache"), **quick, **settings}))

    return make
