"""The parts of a run: each is printed as soon as it is done, and one that fails does not stop the others."""

import json
import re
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bench.step.device import free

_NUMBER = re.compile(r"(?<!\w)\d[\d,.]*%?")


class Part(NamedTuple):
    """What a part found. text: tables and sentences for people. values: JSON-ready."""

    text: str
    values: Mapping[str, Any]


class Report:
    """Runs parts until `seconds` are over; those that come later are left out, by name.

    small: that it runs is all there is to say, so figures are hidden.
    """

    def __init__(self, seconds: float, small: bool) -> None:
        self.began = time.monotonic()
        self.seconds = seconds
        self.small = small
        self.texts: list[str] = []
        self.failed: dict[str, str] = {}

    def part(self, name: str, work: Callable[[], Part]) -> bool:
        """Whether it was done."""
        began = time.monotonic()
        if began - self.began > self.seconds:
            self._fail(name, f"left out: {self.seconds:.0f} s are over")
            return False
        try:
            found = work()
        except Exception as error:  # a refusal of a kernel, out of memory: the other parts may still run
            traceback.print_exc()
            self._fail(name, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}")
        else:
            self.texts.append(f"### {name}\n\n{_NUMBER.sub('#', found.text) if self.small else found.text}")
            print(f"\n{self.texts[-1]}\n\n({time.monotonic() - began:.0f} s)", flush=True)
            line = json.dumps({"part": name, **found.values})
            if not self.small:
                print(line, flush=True)
        free()
        return name not in self.failed

    def text(self) -> str:
        """All of it."""
        lost = [f"- {name}: {why}" for name, why in self.failed.items()]
        return "\n\n".join([*self.texts, *(["### Not measured\n\n" + "\n".join(lost)] if lost else [])])

    def _fail(self, name: str, why: str) -> None:
        self.failed[name] = why
        print(f"\n### {name}: {why}", flush=True)
