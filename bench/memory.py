"""Peak memory of the driver, of a worker and of its hand, through all jobs, by the number of clips. It must not grow.

python -m bench.memory [--counts 200 2000] [--record]
"""

import argparse
import os
import platform
import sys
from pathlib import Path

from bench import compare, corpus, harness, markdown

SECONDS, SIZE = 2.0, (160, 120)
STAGES = "audio.loudness,video.technical,video.motion,duplicates.fingerprint"
JOBS = ("ingest", "measure", "decide", "annotate", "decide", "shard", "verify", "card", "status", "dedup", "decide")
"""Near duplicates come last: all but a few of these clips are."""
ROLES = {name: piece for name, piece in compare.ROLES.items() if name != "floor"}
BITS = 4


def main() -> None:
    """Run every job on each number of clips; print each job's peaks and how they grew."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--counts", type=int, nargs=2, default=[200, 2000])
    ask.add_argument("--scratch", type=Path, default=Path("out/bench"))
    ask.add_argument("--record", action="store_true")
    given = ask.parse_args()
    peaks = {count: _peaks(given.scratch, count) for count in given.counts}
    text = (
        f"{SECONDS:g} s clips of {SIZE[0]}x{SIZE[1]}, one source each; {2**BITS} buckets, parts of 64, 2 workers.\n\n"
    )
    text += _table(*peaks.values(), given.counts)
    harness.record(f"peak memory by number of clips, {platform.machine()}, {os.cpu_count()} cores", text, given.record)


def _peaks(scratch: Path, count: int) -> list[dict[str, float]]:
    """Peak MB by role, a job each."""
    folder = corpus.make(scratch / f"small-{count}", count, SECONDS, SIZE)
    preset, out = compare.preset(scratch / "memory.yaml", STAGES), scratch / "memory-out"
    more = ["--set", "engine.part_clips=64", "--set", f"engine.bucket_bits={BITS}"]
    compare.fresh(out)
    found = []
    for job in JOBS:
        options = ["--source", str(folder)] if job == "ingest" else []
        cost = harness.measure(_argv(job, out, preset, more, options), compare.QUIET, ROLES)
        print(f"{count} clips, {job}: {cost}", file=sys.stderr, flush=True)
        found.append(cost.peak_mb)
    compare.fresh(out)
    return found


def _argv(job: str, out: Path, preset: Path, more: list[str], options: list[str]) -> compare.Argv:
    if job == "status":  # asks the tables, not a preset
        return [sys.executable, "-m", "pipeline.cli", job, "--out", str(out)]
    return compare.klear(job, out, preset, *more, *options)


def _table(few: list[dict[str, float]], many: list[dict[str, float]], counts: list[int]) -> str:
    rows: list[list[object]] = []
    for number, job in enumerate(JOBS):
        for role in ROLES:
            small, large = few[number][role], many[number][role]
            if small and large:
                rows.append([job, role, f"{small:.0f}", f"{large:.0f}", f"{large / small:.2f}"])
    for role in ROLES:
        small, large = (max(job[role] for job in peaks) for peaks in (few, many))
        rows.append(["**all**", role, f"{small:.0f}", f"{large:.0f}", f"**{large / small:.2f}**"])
    return markdown.table(["job", "process", *(f"{count:,} clips, MB" for count in counts), "ratio"], rows)


if __name__ == "__main__":
    main()
