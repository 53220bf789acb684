"""One question to an OpenAI chat endpoint, asked until it is answered well: so many times, at growing distances."""

import asyncio
import email.utils
import json
import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from captioners.caption.pace import Pace
from captioners.caption.settings import EndpointSettings
from manifests.errors import KlearError, MachineError

_AGAIN = {408, 409, 425, 429}
_OURS = {401, 402, 403, 404, 405}
"""What no clip can help: the key, the account, the address."""
_SAID = 300


@dataclass(frozen=True)
class Reply:
    """What came back. usage: tokens read and written, None where the endpoint does not say. refusal: the model's words
    when it will not answer. whole: false when it was cut at the most tokens."""

    text: str
    usage: tuple[int, int] | None
    seconds: float
    refusal: str | None
    whole: bool


class _Again(Exception):
    """Worth another try. nobody: nobody is there, or it is too busy, whatever the clip is."""

    def __init__(self, code: str, message: str, pause_s: float | None = None, nobody: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.pause_s, self.nobody = code, message, pause_s, nobody

    def at_last(self, attempts: int) -> KlearError:
        """The error when there are no more tries."""
        kind = MachineError if self.nobody else KlearError
        return kind(self.code, f"{self.message}, after {attempts} attempts")


class Chat:
    """An endpoint. spent: hears, in a thread, of the tokens of every reply."""

    def __init__(self, settings: EndpointSettings, headers: Mapping[str, str], spent: Callable[[int], None]) -> None:
        self._settings, self._headers, self._spent = settings, headers, spent
        self.pace = Pace(settings.requests_per_s, settings.tokens_per_minute)

    def session(self) -> aiohttp.ClientSession:
        """Connections, to be closed; through the proxy that the environment names."""
        limits = aiohttp.ClientTimeout(total=self._settings.timeout_s, sock_connect=min(10.0, self._settings.timeout_s))
        return aiohttp.ClientSession(timeout=limits, headers=dict(self._headers), trust_env=True)

    async def ask(
        self,
        session: aiohttp.ClientSession,
        body: Mapping[str, Any],
        check: Callable[[str], Any],
        may: Callable[[], None],
    ) -> dict[str, Any]:
        """The reply whose text `check` takes, as a record: text, seed, prompt_tokens, tokens (of all replies), seconds.

        A reply that `check` refuses is asked for again with the next seed. may: raises when no request may go.
        Raises KlearError caption:rejected (the endpoint refuses this very request), caption:refused (the model does),
        caption:malformed, caption:timeout, caption:unavailable after all attempts; MachineError caption:unreachable,
        caption:busy, caption:denied, which are no clip's fault.
        """
        used: tuple[int, int] | None = None
        until = math.inf
        for attempt in range(self._settings.attempts):
            await self.pace.turn()
            until = min(until, time.monotonic() + self._settings.patience_s)
            may()
            seed = body["seed"] + attempt
            try:
                reply = await self._post(session, {**body, "seed": seed})
                used = _sum(used, reply.usage)
                await self._pay(reply)
                self._judge(reply)
                check(reply.text)
            except (_Again, KlearError) as error:
                await self._pause(error, attempt, until)
            else:
                read, written = used or (None, None)
                told = {"prompt_tokens": read, "tokens": written, "seconds": round(reply.seconds, 3)}
                return {"text": reply.text, "seed": seed, **told}
        raise AssertionError("unreachable")

    async def _pause(self, error: Exception, attempt: int, until: float) -> None:
        """Wait before the next attempt; raise what is not to be tried again, or not before `until` (monotonic)."""
        settings = self._settings
        asked = error.pause_s or 0.0 if isinstance(error, _Again) else 0.0
        drawn = settings.backoff_s * 2**attempt * random.uniform(0.5, 1.5)
        pause = min(max(drawn, asked), settings.backoff_max_s)
        last = attempt + 1 == settings.attempts or time.monotonic() + pause > until
        if isinstance(error, _Again):
            if last:
                raise error.at_last(attempt + 1) from None
            if asked or error.code == "caption:busy":
                self.pace.hold(pause)
        elif last or getattr(error, "code", "") != "caption:malformed":
            raise error
        await asyncio.sleep(pause)

    async def _post(self, session: aiohttp.ClientSession, body: Mapping[str, Any]) -> Reply:
        started = time.monotonic()
        url = f"{self._settings.url}/chat/completions"
        try:
            async with session.post(url, json=body, allow_redirects=False) as response:
                data = await response.read()
                _check(response.status, response.headers, data)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            said = f"nobody answers at {self._settings.url}: {error}"
            raise _Again("caption:unreachable", said, nobody=True) from None
        except TimeoutError:
            raise _Again("caption:timeout", f"no answer within {self._settings.timeout_s:g} s") from None
        except aiohttp.ClientError as error:  # a body cut half way, a connection reset
            raise _Again("caption:unavailable", f"the answer broke off: {type(error).__name__}") from None
        return self._read(data, time.monotonic() - started)

    def _read(self, data: bytes, seconds: float) -> Reply:
        try:
            found = json.loads(data)
            choice, usage = found["choices"][0], _usage(found.get("usage"))
            ending, text = choice.get("finish_reason"), choice["message"].get("content")
            refusal = choice["message"].get("refusal") or ("content filter" if ending == "content_filter" else None)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise _Again("caption:unavailable", f"no chat completion: {_said(data)}") from None
        return Reply(text if isinstance(text, str) else "", usage, seconds, refusal, ending != "length")

    async def _pay(self, reply: Reply) -> None:
        """Count what a reply cost, good or bad, before anything else is done with it."""
        if reply.usage:
            self.pace.spend(sum(reply.usage))
            await asyncio.to_thread(self._spent, sum(reply.usage))
        elif self._settings.budget_tokens or self._settings.tokens_per_minute:
            raise MachineError(
                "caption:usage", f"{self._settings.url} does not say what its answers cost: unset the token limits"
            )

    def _judge(self, reply: Reply) -> None:
        if reply.refusal:
            raise KlearError("caption:refused", f"the model refused: {reply.refusal}")
        if not reply.whole:
            raise KlearError("caption:malformed", f"the answer is cut at max_tokens = {self._settings.max_tokens}")


def _check(status: int, headers: Mapping[str, str], data: bytes) -> None:
    if status == 200:
        return
    said = f"HTTP {status}: {_said(data)}"
    if status in _AGAIN or status >= 500:
        code = "caption:busy" if status == 429 else "caption:unavailable"
        raise _Again(code, said, _retry_after(headers.get("Retry-After")), nobody=status == 429)
    if status in _OURS or status < 400:
        raise MachineError("caption:denied", f"{said}: check url, model and the API key")
    raise KlearError("caption:rejected", said)


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for (a number, or a date); None without one."""
    if value is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None


def _usage(found: Any) -> tuple[int, int] | None:
    if not isinstance(found, dict) or found.get("prompt_tokens") is None:
        return None
    return int(found["prompt_tokens"]), int(found.get("completion_tokens") or 0)


def _sum(one: tuple[int, int] | None, two: tuple[int, int] | None) -> tuple[int, int] | None:
    return two if one is None else one if two is None else (one[0] + two[0], one[1] + two[1])


def _said(data: bytes) -> str:
    return " ".join(data[:_SAID].decode("utf-8", "replace").split()) or "nothing"
