"""Finite retries with growing, jittered pauses. A try that brought something new starts the count anew."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from manifests.errors import KlearError
from pipeline.config import SourceSettings

T = TypeVar("T")


class Transient(Exception):
    """A failure that may pass. final: the error if it does not. after_s: when the other side wants to be asked."""

    def __init__(self, final: KlearError, after_s: float | None = None) -> None:
        super().__init__(final.message)
        self.final, self.after_s = final, after_s


def again(what: Callable[[], T], settings: SourceSettings, progress: Callable[[], int] = lambda: 0) -> T:
    """`what()`, tried again when it raises Transient, until `settings.retries` tries in a row brought nothing.

    progress: how much is there so far, e.g. bytes of a partial download. Raises the final error of the last Transient.
    """
    most, failures = progress(), 0
    while True:
        try:
            return what()
        except Transient as error:
            now = progress()
            failures = 1 if now > most else failures + 1
            most = max(most, now)
            if failures > settings.retries:
                raise error.final from error
            time.sleep(pause(settings, failures, error.after_s))


def pause(settings: SourceSettings, failures: int, after_s: float | None = None) -> float:
    """Seconds to wait after so many failures in a row: doubling, half of it by chance; at least `after_s`, capped."""
    backoff = settings.backoff_s * 2 ** (failures - 1) * random.uniform(0.5, 1.0)
    return min(max(backoff, after_s or 0.0), settings.backoff_max_s)
