"""Shard: encode and pack every kept clip, against a bare loop around the same ffmpeg call.

python -m bench.shard [--counts 100 400] [--record]
"""

import subprocess
from pathlib import Path

from bench import compare

STEPS = ("measure", "decide", "annotate", "decide")


def main() -> None:
    """Measure, print, record."""
    given = compare.arguments(__doc__)
    preset = compare.preset(given.scratch / "shard.yaml", "audio.loudness,video.technical")
    out = given.scratch / "shard-out"

    def annotated(folder: Path) -> None:
        compare.fresh(out)
        steps = [compare.klear("ingest", out, preset, "--source", str(folder))]
        steps += [compare.klear(step, out, preset) for step in STEPS]
        for step in steps:
            subprocess.run(step, check=True, capture_output=True)

    ways = [
        compare.Way("floor", lambda folder: None, lambda folder: compare.floor("shard", folder)),
        compare.Way("klear shard", annotated, lambda folder: compare.klear("shard", out, preset)),
    ]
    compare.run("shard against a bare loop", given, ways)


if __name__ == "__main__":
    main()
