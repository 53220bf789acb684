"""What encoding late saves: raw video to shards when 27% of the clips are kept, against encoding every clip first.

Both ways are klear's own commands on the same sources. First: all clips are encoded into a generation that keeps
everything, then the kept ones are copied out of it; late: only the kept ones are encoded. The MP4s must be the same.

python -m bench.late [--clips 104] [--size 640x360] [--record]
"""

import argparse
import hashlib
import os
import platform
import sys
import tarfile
from pathlib import Path

import duckdb

from bench import compare, corpus, harness, markdown
from bench.measure import STAGES

KEPT = 0.27
SECONDS = 6.0
BASES = 26
DOCUMENT = "name: {name}\ngates:\n  - {{name: any, measure: audio.loudness.lufs, min: {least}, source: bench}}\n"


def main() -> None:
    """Measure both ways, compare what they wrote, print, record."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--clips", type=int, default=4 * BASES)
    ask.add_argument("--size", default="640x360")
    ask.add_argument("--x264", default="medium", help="x264 preset, as `shard.x264_preset`")
    ask.add_argument("--scratch", type=Path, default=Path("out/bench"))
    ask.add_argument("--record", action="store_true")
    given = ask.parse_args()
    size = tuple(map(int, given.size.split("x")))
    folder = corpus.make(given.scratch / f"late-{given.size}", given.clips, SECONDS, size=size, bases=BASES)
    everything = _policy(given.scratch / "late.all.yaml", -100.0)
    preset = compare.preset(given.scratch / "late.yaml", STAGES)
    more = ["--set", f"shard.x264_preset={given.x264}"]
    late, first = given.scratch / "late-out", given.scratch / "first-out"
    measured = [("ingest", ["--source", str(folder)]), ("measure", [])]
    costs = {}
    for out in (late, first):
        compare.fresh(out)
        costs[out] = {name: _run(name, out, preset, [*more, *options]) for name, options in measured}
    some = _policy(given.scratch / "late.kept.yaml", _threshold(late))
    keep_all, keep_some = [*more, "--set", f"policy={everything}"], [*more, "--set", f"policy={some}"]
    for step in ("decide", "annotate", "decide"):  # not counted: only what is encoded first needs texts at all
        _run(step, first, preset, keep_all)
    costs[first]["shard: encode all"] = _run("shard", first, preset, keep_all)
    for out, name in ((late, "shard: encode the kept"), (first, "shard: copy the kept")):
        costs[out] |= {"decide": _run("decide", out, preset, keep_some)}
        costs[out]["annotate"] = _run("annotate", out, preset, keep_some)
        _run("decide", out, preset, keep_some)
        costs[out][name] = _run("shard", out, preset, keep_some)
    samples = {out: _movies(sorted((out / "shards").glob("g*"))[-1]) for out in (late, first)}
    same = samples[late] == samples[first]
    text = f"{given.clips} sources of {SECONDS:g} s, {given.size}, x264 {given.x264}; {len(samples[late])} kept"
    text += f" ({len(samples[late]) / given.clips:.0%}); their MP4s are {'the same' if same else 'DIFFERENT'}.\n\n"
    text += _table(costs[late], costs[first], given.clips * SECONDS)
    harness.record(f"encoding late, {platform.machine()}, {os.cpu_count()} cores", text, given.record)
    sys.exit(0 if same else 1)


def _run(command: str, out: Path, preset: Path, options: list[str]) -> float:
    cost = harness.measure(compare.klear(command, out, preset, *options), compare.QUIET)
    print(f"{out.name} {command}: {cost}", file=sys.stderr, flush=True)
    return cost.cpu_s


def _policy(path: Path, least: float) -> Path:
    path.write_text(DOCUMENT.format(name=path.name.split(".")[1], least=least))
    return path


def _threshold(out: Path) -> float:
    """The loudness from which KEPT of the clips are as loud."""
    listed = f"SELECT quantile_cont(lufs, {1 - KEPT}) FROM read_parquet('{out}/tables/audio.loudness/*/*/*.parquet')"
    return float(duckdb.sql(listed).fetchall()[0][0])


def _movies(generation: Path) -> dict[str, str]:
    """Digest of every MP4, by key."""
    found = {}
    for path in sorted(generation.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".mp4"):
                    found[member.name] = hashlib.sha256(tar.extractfile(member).read()).hexdigest()  # type: ignore
    return found


def _table(late: dict[str, float], first: dict[str, float], seconds: float) -> str:
    steps = list(dict.fromkeys([*first, *late]))
    rows: list[list[object]] = [
        [step, *(f"{way[step]:.1f}" if step in way else "-" for way in (late, first))] for step in steps
    ]
    sums = [sum(way.values()) for way in (late, first)]
    rows.append(["all", *(f"**{total:.1f}**" for total in sums)])
    rows.append(["a video-second", *(f"{total / seconds:.3f}" for total in sums)])
    saved = f"\n\nEncoding late takes {sums[0] / sums[1]:.2f} of the CPU-seconds: {1 - sums[0] / sums[1]:.0%} saved."
    return markdown.table(["CPU-seconds", "late", "first"], rows) + saved


if __name__ == "__main__":
    main()
