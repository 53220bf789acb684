"""The card's clock, its power, and what holds it back, as nvidia-smi tells while turns run."""

import os
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

_QUERY = "clocks.sm,power.draw,clocks_event_reasons.active"
_REASONS = {0x4: "power cap", 0x8: "hardware slowdown", 0x20: "heat", 0x40: "heat (hardware)", 0x80: "power brake"}
"""Bits of clocks_event_reasons.active that slow a busy card down (nvml.h, nvmlClocksEventReason*)."""

Span = tuple[float, float]
"""Seconds of `time.perf_counter`, from and to."""


class Sample(NamedTuple):
    """One line of nvidia-smi and when it came."""

    at: float
    mhz: float
    watts: float
    reasons: int


class Clocks:
    """Samples the card in a process of its own, ten times a second, inside the `with` block."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._terminal = -1

    def __enter__(self) -> "Clocks":
        program = shutil.which("nvidia-smi")
        if program:
            # A terminal, so that it writes every line at once.
            self._terminal, theirs = os.openpty()
            command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits", "-lms", "100", *_card()]
            self._process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL)
            os.close(theirs)
            self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._reader.join(timeout=5)
            os.close(self._terminal)

    def during(self, spans: Iterable[Span]) -> str:
        """Medians over these spans: `1,410 MHz, 690 W, power cap`; `not read` where nvidia-smi said nothing."""
        whole = list(spans)
        found = [s for s in list(self.samples) if any(start <= s.at <= end for start, end in whole)]
        return _told(found) if found else "not read"

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                piece = os.read(self._terminal, 4096)
            except OSError:  # the other end is closed
                return
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            self.samples += [
                s for s in (parse(line.decode(errors="replace"), time.perf_counter()) for line in lines) if s
            ]


def parse(line: str, at: float) -> Sample | None:
    """A sample of a line like `1410, 689.12, 0x0000000000000004`; None for any other."""
    try:
        mhz, watts, reasons = line.split(",")
        return Sample(at, float(mhz), float(watts), int(reasons, 16))
    except ValueError:
        return None


def _told(samples: Sequence[Sample]) -> str:
    reasons = [
        word for bit, word in _REASONS.items() if sum(bool(s.reasons & bit) for s in samples) * 2 >= len(samples)
    ]
    mhz, watts = (statistics.median(getattr(s, name) for s in samples) for name in ("mhz", "watts"))
    return ", ".join([f"{mhz:,.0f} MHz", f"{watts:.0f} W", *reasons])


def _card() -> list[str]:
    """Which card: nvidia-smi numbers them all, whatever CUDA_VISIBLE_DEVICES says."""
    if not torch.cuda.is_available():
        return []
    return ["-i", f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"]
