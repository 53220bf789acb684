"""Ask the web: politely, redirects checked one by one, and only for what robots.txt leaves open.

When a host cannot be reached, either it is dead or our network is. It is the host's fault when another host answers
meanwhile (or is asked and answers); else the network is to blame, and nothing may be quarantined for it.
"""

import contextlib
import email.utils
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from manifests.errors import KlearError, MachineError, MediaError
from manifests.files import replace
from manifests.ids import digest
from pipeline.config import SourceSettings
from pipeline.sources import address, locks, retry, robots
from pipeline.sources.hosts import Hosts
from pipeline.sources.retry import Transient
from pipeline.sources.uris import host_of

OPTED_OUT = "source:opted_out"
FAILED = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What asking raises when there is no answer, or no end of one."""
_REDIRECTS = 10
_MOVED = frozenset({301, 302, 303, 307, 308})
_FRESH_S = 86_400.0
_DOWN_S = 600.0
_WRONG = (
    http.client.HTTPException,
    urllib3.exceptions.DecodeError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.InvalidHeader,
)
"""What an answer that is against the rules raises: the host is there, and its network is."""
_NO_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


@dataclass(frozen=True)
class Web:
    """Requests of this node. root: of the source store, where its processes keep their turns and every robots.txt."""

    root: Path
    settings: SourceSettings

    @property
    def hosts(self) -> Hosts:
        """Whose turn it is."""
        return Hosts(self.root, self.settings)

    @property
    def agent(self) -> str:
        """Our product token: the first word of the User-Agent, without its version."""
        return self.settings.user_agent.split()[0].partition("/")[0]

    @contextlib.contextmanager
    def response(
        self, url: str, headers: Mapping[str, str] | None = None, obey: bool = True
    ) -> Iterator[requests.Response]:
        """The answer to a GET, its body not read yet; the host's turn is held for the length of the block.

        obey: ask robots.txt first. Raises MediaError `source:opted_out`, `source:address`, `source:bad_url`,
        `source:redirects`; Transient when there is no answer.
        """
        with address.session(self.settings.private_hosts, self.settings.user_agent) as session:
            for _ in range(_REDIRECTS):
                delay = self.permit(url) if obey else 0.0
                with self.hosts.turn(host_of(url), delay), self._asked(session, url, headers) as answer:
                    target = answer.headers.get("Location") if answer.status_code in _MOVED else None
                    if not target:
                        yield answer
                        return
                    url = _followed(url, target)
        raise MediaError("source:redirects", f"{url}: more than {_REDIRECTS} redirects")

    def permit(self, url: str) -> float:
        """The seconds between requests that the site asks of us. Raises MediaError when we may not have the url."""
        address.check(url, self.settings.private_hosts)
        if not self.settings.robots:
            return 0.0
        rules = self._robots(url)
        rule = rules.disallows(url, [self.agent, *self.settings.robots_also])
        if rule:
            raise MediaError(OPTED_OUT, f"robots.txt of {host_of(url)} says: {rule}")
        return min(rules.delay(self.agent), self.settings.backoff_max_s)

    def _asked(self, session: requests.Session, url: str, headers: Mapping[str, str] | None) -> requests.Response:
        address.check(url, self.settings.private_hosts)
        began = time.time()
        try:
            limits = (self.settings.silence_s, self.settings.silence_s)
            answer = session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=limits)
        except requests.exceptions.InvalidHeader as error:
            raise self.no_answer(url, error, began) from error
        except (requests.exceptions.InvalidSchema, ValueError) as error:  # what the libraries take for no url
            raise MediaError("source:bad_url", f"{url}: {error}") from None
        except FAILED as error:
            raise self.no_answer(url, error, began) from error
        self.hosts.answered(host_of(url))
        return answer

    def no_answer(self, url: str, error: Exception, began_s: float) -> Transient:
        """A failure to ask or to read on, and whom it is blamed on if it does not pass."""
        words = f"{url}: {type(error).__name__}: {_inner(error)}"
        if isinstance(error, requests.exceptions.SSLError):
            return Transient(MediaError("source:certificate", words))
        if _is_wrong(error):
            return Transient(MediaError("source:server_error", words))
        found = _inner(error)
        nameless = isinstance(found, socket.gaierror) and found.errno in _NO_NAME
        dead = MediaError("source:unreachable", f"{words}; other hosts answer")
        final: KlearError = (
            dead
            if nameless or self._others_answer(url, began_s)
            else MachineError("source:network", f"{words}; no other host answers either: is this machine's network up?")
        )
        return Transient(final)

    def _others_answer(self, url: str, since_s: float) -> bool:
        """Whether another host answered since then or, if not, whether the one that answered last does so now."""
        last = self.hosts.last_other(host_of(url))
        if last is None:
            return False
        other, when_s = last
        if when_s >= since_s:
            return True
        name, _, port = other.partition(":")
        try:
            with socket.create_connection((name, int(port or 443)), self.settings.silence_s):
                return True
        except OSError:
            return False

    def _robots(self, url: str) -> robots.Robots:
        """The site's rules, asked for once a day by a node. Raises as `response`."""
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        path = self.root / "robots" / f"{digest(site.lower()).hex()}.json"
        with locks.held(path.with_suffix(".lock")):
            found = _cached(path)
            if found is None:
                found = retry.again(lambda: self._fetch_robots(site), self.settings)
                replace(path, lambda file: file.write(json.dumps({"at": time.time(), **found}).encode()))
        if int(found["status"]) >= 500:
            answer = f"robots.txt of {host_of(url)} answers {found['status']}: by RFC 9309 nothing may be fetched"
            raise MediaError(OPTED_OUT, answer)
        return robots.parse(str(found["text"]))

    def _fetch_robots(self, site: str) -> dict[str, int | str]:
        try:
            with self.response(f"{site}/robots.txt", obey=False) as answer:
                if answer.status_code in {408, 425, 429}:
                    raise Transient(MediaError("source:busy", f"{site}/robots.txt answers {answer.status_code}"))
                text = b""
                if answer.ok:
                    text = next(answer.iter_content(robots.MAX_BYTES), b"")
                return {"status": answer.status_code, "text": text.decode("utf-8", "replace")}
        except MediaError as error:
            if error.code == "source:redirects":  # by RFC 9309 as if there were none
                return {"status": 404, "text": ""}
            raise
        except FAILED as error:
            raise self.no_answer(site, error, time.time()) from error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None without one that can be read."""
    value = headers.get("Retry-After", "").strip()
    if (seconds := whole_number(value)) is not None:
        return float(seconds)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError, IndexError):  # what it raises on dates that no calendar has
        return None


def whole_number(text: str) -> int | None:
    """A number as headers have it, in plain digits; None for anything else, also for more than 64 bits hold."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _followed(url: str, target: str) -> str:
    """Where a redirect leads. Raises MediaError `source:bad_url` for a target that is no url."""
    try:
        found = urljoin(url, target).partition("#")[0]
        host_of(found)
    except ValueError as error:
        raise MediaError("source:bad_url", f"{url} redirects to {target[:200]!r}: {error}") from None
    return found


def _cached(path: Path) -> dict[str, int | str] | None:
    try:
        found: dict[str, int | str] = json.loads(path.read_bytes())
        age = time.time() - float(found["at"])
        return found if age < (_DOWN_S if int(found["status"]) >= 500 else _FRESH_S) else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _inner(error: BaseException) -> BaseException:
    """What is at the bottom of an error that requests and urllib3 have wrapped."""
    return list(_wrapped(error))[-1]


def _is_wrong(error: BaseException) -> bool:
    """Whether there was an answer, against the rules of HTTP; a connection that was closed without one is none."""
    found = list(_wrapped(error))
    return any(isinstance(one, _WRONG) for one in found) and not any(isinstance(one, ConnectionError) for one in found)


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it wraps, layer by layer."""
    seen: list[BaseException] = []
    inner: object = error
    while isinstance(inner, BaseException) and inner not in seen:
        seen.append(inner)
        yield inner
        inner = inner.__cause__ or getattr(inner, "reason", None) or inner.__context__
