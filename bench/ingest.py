"""Ingest: probe, hash, shots and cut plan of every source, against a bare loop that does the same.

python -m bench.ingest [--counts 100 400] [--record]
"""

from pathlib import Path

from bench import compare


def main() -> None:
    """Measure, print, record."""
    given = compare.arguments(__doc__)
    preset = compare.preset(given.scratch / "ingest.yaml", "audio.loudness")
    out = given.scratch / "ingest-out"

    def ours(folder: Path) -> compare.Argv:
        return compare.klear("ingest", out, preset, "--source", str(folder))

    ways = [
        compare.Way("floor", lambda folder: None, lambda folder: compare.floor("ingest", folder)),
        compare.Way("klear ingest", lambda folder: compare.fresh(out), ours),
    ]
    compare.run("ingest against a bare loop", given, ways)


if __name__ == "__main__":
    main()
