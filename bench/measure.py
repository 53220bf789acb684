"""Measure: the first tier on every clip, against a bare loop with the same ffmpeg call and the same stages; and ingest
and measure together against py-data-juicer on the comparable job: duration, resolution, motion at 2 fps. Ours finds
shots, plans cuts and measures loudness too: none of its operators looks at the sound of a video.

python -m bench.measure [--counts 100 400] [--peer .../bin/python] [--record]
"""

import subprocess
from pathlib import Path

from bench import compare

STAGES = "audio.classes,audio.loudness,audio.silence,audio.fidelity,video.technical,video.motion,video.stills"
COMPARABLE = "audio.loudness,video.technical,video.motion"


def main() -> None:
    """Measure, print, record."""
    given = compare.arguments(__doc__)
    tier = compare.preset(given.scratch / "tier.yaml", STAGES)
    out = given.scratch / "measure-out"

    def ingested(folder: Path) -> None:
        compare.fresh(out)
        subprocess.run(compare.klear("ingest", out, tier, "--source", str(folder)), check=True, capture_output=True)

    ways = [
        compare.Way("floor", lambda folder: None, lambda folder: compare.floor("measure", folder, STAGES)),
        compare.Way("klear measure", ingested, lambda folder: compare.klear("measure", out, tier)),
    ]
    compare.run("the cheap tier against a bare loop", given, ways)
    if given.peer:
        _against_peer(given, given.scratch / "peer-out")


def _against_peer(given: "compare.argparse.Namespace", out: Path) -> None:
    given.counts = given.peer_counts
    few = compare.preset(given.scratch / "comparable.yaml", COMPARABLE)

    def both(folder: Path) -> compare.Argv:
        steps = [
            compare.klear("ingest", out, few, "--source", str(folder)),
            compare.klear("measure", out, few),
        ]
        return ["bash", "-c", " && ".join(" ".join(step) for step in steps)]

    def juicer(folder: Path) -> compare.Argv:
        return [given.peer, str(Path(__file__).with_name("juicer.py")), str(folder), str(given.scratch / "juicer")]

    ways = [
        compare.Way("floor", lambda folder: None, lambda folder: compare.floor("measure", folder, COMPARABLE)),
        compare.Way("klear ingest + measure", lambda folder: compare.fresh(out), both),
        compare.Way("py-data-juicer 1.6.1", lambda folder: compare.fresh(given.scratch / "juicer"), juicer),
    ]
    compare.run("the comparable job against py-data-juicer 1.6.1", given, ways)


if __name__ == "__main__":
    main()
