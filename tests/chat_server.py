"""A real HTTP server that speaks the OpenAI chat API and misbehaves on demand: busy, broken, slow, half an answer.

What becomes of an attempt is a hash of the question and of how often it was asked, so that a run can be repeated. The
answer holds the question's own id, so that one can tell whose answer a clip got.
"""

import base64
import hashlib
import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("busy", "busy_wait", "broken", "slow", "malformed", "wrong_fields", "half", "cut", "reset")
EMPTY: dict[str, Any] = {"string": "x", "array": []}


@dataclass
class Server:
    """share: of attempts that go wrong. faults: how. script: what the first attempts meet instead, in order.

    slow_s: how long `slow` takes. pause_s: of every answer. log: what was asked, in order."""

    share: float = 0.0
    faults: tuple[str, ...] = FAULTS
    script: list[str] = field(default_factory=list)
    slow_s: float = 5.0
    pause_s: float = 0.0
    usage: bool = True
    log: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    most_busy: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def questions(self, event: str = "asked") -> list[str]:
        return [entry["id"] for entry in self.log if entry["event"] == event]

    def note(self, event: str, name: str, **more: Any) -> None:
        with self.lock:
            entry = {"event": event, "id": name, "time": time.time(), **more}
            self.log.append(entry)
            self.busy += {"asked": 1, "over": -1}.get(event, 0)
            self.most_busy = max(self.most_busy, self.busy)

    def fate(self, name: str) -> str:
        """What becomes of this attempt: "ok" or a fault."""
        with self.lock:
            self.asked[name] += 1
            if self.script:
                return self.script.pop(0)
            attempt = self.asked[name]
        drawn = hashlib.blake2b(f"{name} {attempt}".encode(), digest_size=8).digest()
        if int.from_bytes(drawn[:4], "big") / 2**32 >= self.share:
            return "ok"
        return self.faults[int.from_bytes(drawn[4:], "big") % len(self.faults)]


def question_id(body: dict[str, Any]) -> str:
    """Of the media in a request: what the answer is about."""
    content = [part for part in body["messages"][-1]["content"] if part["type"] != "text"]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


def answer(body: dict[str, Any], name: str) -> str:
    """What a model that keeps to the schema writes."""
    fields = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    found = {key: EMPTY.get(told.get("type", "")) for key, told in fields.items()}
    return json.dumps({**found, "short": f"Short {name}.", "dense": f"A dense caption of {name}."})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        server: Server = self.server.told  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.name, self.over = question_id(body), False
        fate = self.fate = server.fate(self.name)
        server.note(
            "asked", self.name, fate=fate, path=self.path, key=self.headers.get("Authorization"), body=_brief(body)
        )
        try:
            self._think(server.pause_s)
            self._meet(server, fate, body)
        except ConnectionError:
            self.close_connection = True
        finally:
            self._end()

    def _think(self, seconds: float) -> None:
        """Raises ConnectionError as soon as whoever asks hangs up: nothing is under way any more."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise ConnectionResetError
        if readable:
            time.sleep(seconds)

    def _end(self) -> None:
        """Note that the request is over, once, and before the answer leaves: its reader may ask again at once."""
        if not self.over:
            self.over = True
            self.server.told.note("over", self.name, fate=self.fate)  # type: ignore[attr-defined]

    def _meet(self, server: Server, fate: str, body: dict[str, Any]) -> None:
        text = answer(body, self.name)
        if fate == "slow":
            self._think(server.slow_s)
        status = int(fate) if fate.isdecimal() else {"busy": 429, "busy_wait": 429, "broken": 500}.get(fate, 200)
        text = {"malformed": text[: len(text) // 2], "wrong_fields": '{"short": "only this"}'}.get(fate, text)
        found = self._completion(server, text, "length" if fate == "too_long" else "stop")
        data = b"<html>" if fate == "not_json" else json.dumps(found if status == 200 else {"error": fate}).encode()
        half = data[: len(data) // 2]
        if fate == "half":  # a length that is promised and not kept
            self._send(200, half, [("Content-Length", str(len(data)))])
        elif fate == "cut":  # a stream of chunks without its end
            self._send(200, b"%x\r\n%s\r\n" % (len(half), half), [("Transfer-Encoding", "chunked")])
        elif fate != "reset":
            wait = [("Retry-After", "1")] if fate == "busy_wait" else []
            self._send(status, data, [*wait, ("Content-Length", str(len(data)))])
        self.close_connection = fate in {"half", "cut", "reset"}

    def _completion(self, server: Server, text: str, finish: str) -> dict[str, Any]:
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
        usage = {"usage": {"prompt_tokens": 700, "completion_tokens": 50}} if server.usage else {}
        return {"id": "x", "object": "chat.completion", "choices": [choice], **usage}

    def _send(self, status: int, data: bytes, headers: list[tuple[str, str]]) -> None:
        self._end()
        self.send_response(status)
        for name, value in [*headers, ("Content-Type", "application/json")]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _brief(body: dict[str, Any]) -> dict[str, Any]:
    """The request without its media, and what these are: for the log."""
    content = []
    for part in body["messages"][-1]["content"]:
        if part["type"] == "text":
            content.append(part["text"])
        elif part["type"] == "input_audio":
            content.append(["audio", part["input_audio"]["format"], _magic(part["input_audio"]["data"])])
        else:
            head, _, data = part[part["type"]]["url"].partition(",")
            content.append([head, _magic(data)])
    return {**body, "messages": [body["messages"][0], content]}


def _magic(data: str) -> str:
    return base64.b64decode(data)[:8].hex()


@contextmanager
def serving(port: int = 0, **options: Any) -> Iterator[Server]:
    """A server on loopback."""
    told = Server(**options)
    http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    http.daemon_threads, http.request_queue_size = True, 128
    http.handle_error = lambda *about: None  # type: ignore[method-assign,assignment]
    http.told, told.port = told, http.server_port  # type: ignore[attr-defined]
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield told
    finally:
        http.shutdown()
        http.server_close()
