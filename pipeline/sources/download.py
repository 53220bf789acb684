"""Download one url to a file: finite retries, Range resume, limits on size and time, opt-out headers obeyed."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from manifests.errors import MediaError
from pipeline.sources import retry
from pipeline.sources.http import FAILED, OPTED_OUT, Web, retry_after, whole_number
from pipeline.sources.optout import opted_out
from pipeline.sources.partial import Partial
from pipeline.sources.retry import Transient
from pipeline.sources.uris import host_of

_CHUNK = 1 << 16
_GONE = frozenset({404, 410})
_FORBIDDEN = frozenset({401, 402, 403, 407, 451})
_BUSY = frozenset({408, 425, 429})


def download(web: Web, url: str, into: Path) -> str:
    """Fetch `url` to `into`, going on with what is there of it; its version (`etag:...`, `modified:...` or "").

    Raises MediaError: `source:gone`, `source:forbidden`, `source:refused`, `source:opted_out`, `source:too_big`,
    `source:too_slow`; when retries do not help `source:busy`, `source:server_error`, `source:truncated`,
    `source:unreachable`; and what `Web.response` raises. Raises MachineError when the network of this machine fails.
    """
    one = _Download(web, url, Partial(into))
    return retry.again(one.go_on, web.settings, one.partial.have)


@dataclass
class _Download:
    web: Web
    url: str
    partial: Partial
    spent_s: float = 0.0

    def go_on(self) -> str:
        """One try, from where the last one stopped."""
        have, version = self.partial.have(), self.partial.version()
        headers = {"Range": f"bytes={have}-", "If-Range": _if_range(version)} if have and version else {}
        with self.web.response(self.url, headers) as answer:
            began = time.monotonic()
            try:
                self._check(answer, bool(headers))
                if answer.status_code != 416:
                    self._receive(answer, have if headers else 0)
                elif answer.headers.get("Content-Range", "") != f"bytes */{have}":
                    self.partial.discard()  # it has shrunk
                    raise self._broken("its length has changed")
            finally:
                self.spent_s += time.monotonic() - began
            return version_of(answer) or self.partial.version()

    def _check(self, answer: requests.Response, in_part: bool) -> None:
        """Raise what the status and the headers say. in_part: a range was asked for, so that it may be out of range."""
        status, said = answer.status_code, f"{self.url} answers {answer.status_code}"
        tags = answer.raw.headers.getlist("X-Robots-Tag")
        reserved = answer.headers.get("TDM-Reservation")
        if line := opted_out(tags, reserved, self.web.agent, self.web.settings.opt_out):
            raise MediaError(OPTED_OUT, f"{self.url} says: {line}")
        if status in {200, 203, 206} or (status == 416 and in_part):
            return
        if status in _BUSY or status >= 500:
            after = retry_after(answer.headers)
            if after:
                self.web.hosts.hold_off(host_of(answer.url), min(after, self.web.settings.backoff_max_s))
            raise Transient(MediaError("source:busy" if status in _BUSY else "source:server_error", said), after)
        codes = [("source:gone", _GONE), ("source:forbidden", _FORBIDDEN)]
        raise MediaError(next((code for code, group in codes if status in group), "source:refused"), said)

    def _receive(self, answer: requests.Response, have: int) -> None:
        """Write the body after the `have` bytes that were asked to be left out, or anew."""
        total = _total(answer)
        if answer.status_code == 206:
            start = re.match(r"bytes ([0-9]+)-", answer.headers.get("Content-Range", ""))
            if not start or whole_number(start[1]) != have or not self._is_same(answer):
                self.partial.discard()
                raise self._broken("the part that it sends is not the one that was asked for")
        else:
            self.partial.start(_resumable(answer))
        self._limit(total or 0)
        with self.partial.path.open("ab") as file:
            size = file.tell()
            until = time.monotonic() + self.web.settings.max_seconds - self.spent_s
            while data := self._read(answer):
                size += len(data)
                self._limit(size)
                file.write(data)
                if time.monotonic() > until:
                    limit = f"sources.max_seconds = {self.web.settings.max_seconds:g}"
                    raise MediaError("source:too_slow", f"{self.url}: {size} bytes in {limit}")
        if total is not None and size != total:
            raise self._broken(f"{size} of {total} bytes came")

    def _read(self, answer: requests.Response) -> bytes:
        """The next bytes, as soon as there are any."""
        began = time.time()
        try:
            data: bytes = answer.raw.read1(_CHUNK, decode_content=True)
        except FAILED as error:
            if _is_short(error):
                raise self._broken(str(error)) from error
            raise self.web.no_answer(self.url, error, began) from error
        return data

    def _limit(self, size: int) -> None:
        if size > self.web.settings.max_gb * 1e9:
            limit = f"sources.max_gb = {self.web.settings.max_gb:g}"
            raise MediaError("source:too_big", f"{self.url} has {size} bytes or more, over {limit}")

    def _is_same(self, answer: requests.Response) -> bool:
        now = _resumable(answer)
        return not now or now == self.partial.version()

    def _broken(self, how: str) -> Transient:
        return Transient(MediaError("source:truncated", f"{self.url}: {how}"))


def version_of(answer: requests.Response) -> str:
    """What the answer says of its version: the entity tag, else the date of the last change, else nothing."""
    tag, date = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
    return f"etag:{tag}" if tag else f"modified:{date}" if date else ""


def _resumable(answer: requests.Response) -> str:
    """The version that a later try can ask for (strong tags and dates), "" when it cannot go on."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return ""
    tag, date = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    return f"etag:{tag}" if tag and not tag.startswith("W/") else f"modified:{date}" if date else ""


def _if_range(version: str) -> str:
    return version.partition(":")[2]


def _total(answer: requests.Response) -> int | None:
    """Bytes of the whole, None when the answer does not say."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return None
    said = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if answer.status_code != 206:
        said = answer.headers.get("Content-Length", "")
    return whole_number(said)


def _is_short(error: BaseException) -> bool:
    """Whether the connection was closed properly, only too early: then the host has answered, and wrongly."""
    return "IncompleteRead" in f"{error!r}"
