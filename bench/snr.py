"""SNR: bias and error of the estimate on mixes of known ratio, read and acted speech in noises, babble and music.

python -m bench.snr --media FOLDER [--seconds 3]
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bench import markdown
from filters.audio import known_mixes
from filters.audio.snr import RATE
from media.render import render_views
from media.synth import sounds
from media.views import AUDIO_16K
from media.whole import whole_clip

MUSIC = {"piano (Chaplin)": "video/chaplin.mp4", "film music (Big Buck Bunny)": "video/big_buck_bunny_0_30.webm"}
STATIONARY = {"white noise": 0.0, "pink noise": 1.0, "brown noise": 2.0}


def main() -> None:
    """Measure and print the table; exits with 1 when stationary noise is off by more than 4 dB over -5 to 25 dB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True, help="folder of real media, as MEDIA.tsv lists it")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a mix")
    given = parser.parse_args()
    voices = [voice[: round(given.seconds * RATE)] for voice in read_speech(given.media)]
    found = known_mixes.errors(voices, backgrounds(given.media))
    print(table(found))
    worst = max(spread(found, name) for name in STATIONARY)
    print(f"worst stationary noise: {worst:.2f} dB over -5 to 25 dB")
    raise SystemExit(worst > 4.0)


def read_speech(media: Path) -> list[np.ndarray]:
    """LibriSpeech's eight sentences and six of GRID, (n,) at 16 kHz."""
    read = [soundfile.read(path)[0] for path in sorted(media.glob("librispeech/*.flac"))]
    return read + [heard(path) for path in sorted(media.glob("grid/*.mpg"))]


def heard(path: Path) -> np.ndarray:
    """Sound of a film, (n,) at 16 kHz."""
    with render_views(whole_clip(path), [AUDIO_16K]) as views:
        return np.array(views[AUDIO_16K], np.float64)


def backgrounds(media: Path) -> dict[str, np.ndarray]:
    """Noises, babble of eight readers, and music, (n,) at 16 kHz."""
    rng = np.random.default_rng(0)
    made = {n: soxr.resample(sounds.noise(12, rng, slope), sounds.RATE, RATE) for n, slope in STATIONARY.items()}
    readers = [np.roll(np.resize(v / v.std(), 12 * RATE), 7919 * i) for i, v in enumerate(read_speech(media)[:8])]
    return made | {"babble of eight": np.sum(readers, axis=0)} | {n: heard(media / path) for n, path in MUSIC.items()}


def spread(found: list[known_mixes.Error], background: str) -> float:
    """Mean absolute error over -5 to 25 dB against one background."""
    return float(np.mean([e.mae_db for e in found if e.background == background and -5 <= e.ratio_db <= 25]))


def table(found: list[known_mixes.Error]) -> str:
    """Markdown: a row a background, `bias / mean absolute error` in dB a ratio, and the mean error of -5 to 25 dB."""
    ratios = sorted({e.ratio_db for e in found})
    names = list(dict.fromkeys(e.background for e in found))
    cell = {(e.background, e.ratio_db): f"{e.bias_db:+.1f} / {e.mae_db:.1f}" for e in found}
    rows = [[name, *(cell[name, r] for r in ratios), f"{spread(found, name):.1f}"] for name in names]
    return markdown.table(["background", *(f"{r:g} dB" for r in ratios), "MAE -5..25"], rows)


if __name__ == "__main__":
    main()
