"""A table as Markdown, with the machine it was measured on."""

import os
import platform
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under a header."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine() -> str:
    """Cores and kind of this machine, in a few words."""
    kinds = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]  # noqa: PTH123, SIM115
    return f"{os.cpu_count()} cores of {kinds[0] if kinds else platform.machine()}, Python {platform.python_version()}"
