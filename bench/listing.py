"""How long it takes to list a million local files, and how much memory: `python -m bench.listing [COUNT ...]`.

The files are hard links to one empty file, a thousand a folder, in a memory-backed folder.
"""

import datetime
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from media.scratch import scratch_dir

BITS = 8
"""Of the buckets."""


def make(folder: Path, count: int) -> None:
    """`count` names below `folder`."""
    first = folder / "file"
    first.touch()
    for start in range(0, count, 1000):
        group = folder / f"g{start // 1000:05d}"
        group.mkdir()
        for number in range(start, min(start + 1000, count)):
            os.link(first, group / f"clip {number:08d}.mp4")
    first.unlink()


def measure(folder: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak RSS in MiB of listing `folder`; run it in a process of its own."""
    from manifests.catalog import Catalog
    from pipeline.sources import find, listing
    from pipeline.sources.store import Store

    started = time.monotonic()
    listing.write(Catalog(out), find.rows([folder], Store()), BITS)
    return time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(counts: list[int]) -> None:
    """One row a count: listing it, and listing it again."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(dir=scratch_dir()) as folder, tempfile.TemporaryDirectory() as out:
            make(Path(folder), count)
            for what in ("new", "listed before"):
                argv = [sys.executable, "-m", "bench.listing", "one", folder, out]
                seconds, mib = map(float, subprocess.run(argv, check=True, capture_output=True).stdout.split())
                rows.append([f"{count:,}", what, f"{seconds:.1f}", f"{count / seconds:,.0f}", f"{mib:.0f}"])
    _record(["files", "", "seconds", "files/s", "peak RSS MiB"], rows)


def _record(header: list[str], rows: list[list[str]]) -> None:
    """Print the table, and append it to RESULTS.md with the date and the machine."""
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    text = f"\n## {datetime.date.today()}: local files into the listing table\n{machine}; {2**BITS} buckets.\n\n"
    text += "\n".join(lines) + "\n"
    print(text)
    with Path(__file__).with_name("RESULTS.md").open("a") as file:
        file.write(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        print(*measure(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        main([int(text) for text in sys.argv[1:]] or [100_000, 1_000_000])
