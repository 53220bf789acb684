"""A pace: so many requests a second and tokens a minute, and a pause that a server asks for. Of one process."""

import asyncio
import time


class Bucket:
    """Fills by `rate` a second up to `most`. What is taken may be more than there is: then whoever comes next waits."""

    def __init__(self, rate: float, most: float) -> None:
        self._rate, self._most = rate, most
        self._level, self._last = most, time.monotonic()

    def take(self, amount: float) -> None:
        """Take so much, now."""
        self._fill()
        self._level -= amount

    def wait_s(self) -> float:
        """Seconds until there is something again."""
        self._fill()
        return max(0.0, -self._level / self._rate)

    def _fill(self) -> None:
        now = time.monotonic()
        self._level = min(self._most, self._level + (now - self._last) * self._rate)
        self._last = now


class Pace:
    """When the next request may go. requests_per_s, tokens_per_minute: None for no limit."""

    def __init__(self, requests_per_s: float | None, tokens_per_minute: int | None) -> None:
        self._requests = Bucket(requests_per_s, 0.0) if requests_per_s else None
        self._tokens = Bucket(tokens_per_minute / 60, tokens_per_minute / 6) if tokens_per_minute else None
        self._not_before = 0.0

    async def turn(self) -> None:
        """Wait until a request may go; it counts as gone."""
        while (wait := self._wait_s()) > 0:
            await asyncio.sleep(wait)
        if self._requests:
            self._requests.take(1.0)

    def spend(self, tokens: int) -> None:
        """A request has cost so many tokens, which is known only afterwards."""
        if self._tokens:
            self._tokens.take(tokens)

    def hold(self, seconds: float) -> None:
        """No request of this process goes for so long: a server asked for it."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _wait_s(self) -> float:
        limits = [bucket.wait_s() for bucket in (self._requests, self._tokens) if bucket]
        return max([self._not_before - time.monotonic(), *limits])
