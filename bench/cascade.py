"""What measuring in tiers saves: `klear filter` with the preset's tiers and with one tier for all, on the same clips.

The clips are those of a folder of videos (each copied, each copy with content of its own), cut as the demo cuts them;
the policy keeps about 27% by a cheap measure and holds the demo's other gates. What is kept must be the same.

python -m bench.cascade --source FOLDER [--copies 2] [--record]
"""

import argparse
import os
import platform
import struct
import sys
from pathlib import Path

import duckdb
import yaml

from bench import compare, harness, markdown
from pipeline.config import load

KEPT = 0.27
POLICY = Path(__file__).parents[1] / "filters" / "policies" / "demo.yaml"

_BAD = ("--set", "engine.max_error_rate=0.2")
"""The demo's clips hold damaged files."""


def main() -> None:
    """Measure both ways, compare what they kept, print, record."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--source", type=Path, required=True)
    ask.add_argument("--copies", type=int, default=2)
    ask.add_argument("--scratch", type=Path, default=Path("out/bench"))
    ask.add_argument("--record", action="store_true")
    given = ask.parse_args()
    sources = _copied(given.source, given.scratch / "cascade", given.copies)
    presets = {name: _preset(given.scratch / f"cascade.{name}.yaml", name) for name in ("tiers", "one")}
    costs, starts, kept = {}, {}, {}
    for name, preset in presets.items():
        out = given.scratch / f"cascade-{name}"
        compare.fresh(out)
        _run("ingest", out, preset, ["--source", str(sources)])
        policy = given.scratch / "cascade.policy.yaml"
        if name == "tiers":
            _write_policy(policy, -200.0)
            _run("measure", out, preset, ["--set", f"policy={policy}", "--tier", "cheap"])
            _write_policy(policy, _threshold(out))
            compare.fresh(out)
            _run("ingest", out, preset, ["--source", str(sources)])
        more = ["--set", f"policy={policy}", "--set", "bypass=0"]
        costs[name] = _run("filter", out, preset, more)
        starts[name] = _run("filter", out, preset, more)  # again: nothing is left to measure
        kept[name] = _kept(out)
    same = kept["tiers"] == kept["one"]
    judged, stays = len(kept["one"]), sum(kept["one"].values())
    net = {name: cost.cpu_s - starts[name].cpu_s for name, cost in costs.items()}
    rows: list[list[object]] = [
        [name, f"{cost.cpu_s:.1f}", f"{starts[name].cpu_s:.1f}", f"{net[name]:.1f}", f"{net[name] / judged:.3f}"]
        for name, cost in costs.items()
    ]
    saved = 1 - net["tiers"] / net["one"]
    text = (
        f"{judged} clips, {stays} kept ({stays / judged:.0%}); the kept are {'the same' if same else 'DIFFERENT'}.\n\n"
    )
    header = ["`klear filter`", "CPU-seconds", "of a run with nothing to do", "measuring", "a clip"]
    text += markdown.table(header, rows)
    text += f"\n\nMeasuring in tiers takes {1 - saved:.2f} of the CPU-seconds: {saved:.0%} saved."
    harness.record(f"measuring in tiers, {platform.machine()}, {os.cpu_count()} cores", text, given.record)
    sys.exit(0 if same else 1)


def _copied(source: Path, folder: Path, copies: int) -> Path:
    """The MP4s of a folder, each with a box at its end that every reader skips and no other has."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*.mp4")):
        for number in range(copies):
            mark = struct.pack(">I4sQ", 16, b"free", number)
            (folder / f"{path.stem}-{number}.mp4").write_bytes(path.read_bytes() + mark)
    return folder


def _preset(path: Path, name: str) -> Path:
    """The demo's preset; with all stages in one tier for `one`."""
    told = load("demo", []).model_dump(mode="json", exclude_defaults=True)
    if name == "one":
        told["tiers"] = [{"name": "cheap", "stages": [stage for tier in told["tiers"] for stage in tier["stages"]]}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    return path


def _write_policy(path: Path, least: float) -> None:
    told = yaml.safe_load(POLICY.read_text())
    told["gates"].append({"name": "loud", "measure": "audio.loudness.lufs", "min": least, "source": "bench"})
    path.write_text(yaml.safe_dump(told, sort_keys=False))


def _threshold(out: Path) -> float:
    """The loudness that leaves about KEPT of the clips, before the other gates."""
    listed = f"SELECT quantile_cont(lufs, {1 - KEPT}) FROM read_parquet('{out}/tables/audio.loudness/*/*/*.parquet')"
    return float(duckdb.sql(listed).fetchall()[0][0])


def _kept(out: Path) -> dict[str, bool]:
    from manifests.catalog import Catalog
    from manifests.query import connect

    con = connect(Catalog(out), asked="verdicts")
    return dict(con.execute("SELECT lower(hex(clip_id)), keep FROM verdicts").fetchall())


def _run(command: str, out: Path, preset: Path, options: list[str]) -> harness.Cost:
    cost = harness.measure(compare.klear(command, out, preset, *_BAD, *options), compare.QUIET)
    print(f"{out.name} {command}: {cost}", file=sys.stderr, flush=True)
    return cost


if __name__ == "__main__":
    main()
