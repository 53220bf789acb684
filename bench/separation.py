"""Separation: SI-SDR of the voice stem on known mixes of real speech with music, noises and babble, and what it costs.

python -m bench.separation --media FOLDER [--record] [--demucs FOLDER [--name htdemucs]]

SI-SDR (Le Roux et al. 2019) in dB, mono, at 44.1 kHz, as `separate.stems` hears its clips. The ratio of a mix is that
of the powers of voice and background over its whole length.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bench import harness, markdown
from captioners.separate import splitters
from captioners.separate.stems import MONO, RATE
from media.one_thread import one_thread
from media.render import render_views
from media.synth import sounds
from media.synth.music import MAJOR, melody
from media.whole import whole_clip
from pipeline.selfcheck.drawn_sounds import KINDS

RATIOS_DB = (-10, 0, 10, 20)
SECONDS = 5.0
VOICES = ("librispeech/1688-142285-0003.flac", "librispeech/1998-15444-0001.flac", "librispeech/2033-164914-0001.flac",
          "librispeech/2414-128291-0001.flac", "speech/jfk.flac", "grid/bbaf2n.mpg", "grid/lwbsza.mpg")  # fmt: skip
BABBLE = ("librispeech/1688-142285-0004.flac", "librispeech/1998-15444-0003.flac", "librispeech/2033-164914-0003.flac",
          "librispeech/2414-128291-0004.flac")  # fmt: skip
MUSIC = {"piano (Chaplin)": "video/chaplin.mp4", "film music, birds (Big Buck Bunny)": "video/big_buck_bunny_0_30.webm"}
ABSENT = "Not at hand: songs (a sung voice with its own stems), music with drums, recorded rain, streets and crowds."


@dataclass(frozen=True)
class Found:
    """One mix through one backend. gain_db: SI-SDR of the voice stem above that of the mix."""

    backend: str
    background: str
    ratio_db: int
    si_sdr_db: float
    gain_db: float
    wall_s: float
    cpu_s: float
    seconds: float


def main() -> None:
    """Measure and print two tables; exits with 1 when a backend makes the mixes at 0 dB worse on average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True, help="folder of real media, as MEDIA.tsv lists it")
    parser.add_argument("--record", action="store_true", help="append to bench/RESULTS.md")
    parser.add_argument("--demucs", help="folder of Demucs checkpoints, to be measured as well")
    parser.add_argument("--name", default="htdemucs", help="of the model or bag in that folder")
    given = parser.parse_args()
    backends = dict(splitters.SPLITTERS)
    if given.demucs:
        backends[given.name] = splitters.make("demucs", model=given.demucs, name=given.name)
    found = list(measure(backends, [heard(given.media / name) for name in VOICES], backgrounds(given.media)))
    said = f"{len(VOICES)} voices of up to {SECONDS:g} s; {markdown.machine()}, one thread. {ABSENT}"
    text = "\n\n".join([said, table(found), costs(found)])
    harness.record("`bench.separation`, SI-SDR of the voice stem on known mixes", text, given.record)
    even = [np.mean([f.gain_db for f in found if f.backend == name and f.ratio_db == 0]) for name in backends]
    raise SystemExit(int(min(even) <= 0))


def heard(path: Path) -> np.ndarray:
    """Float32 (n,) at 44.1 kHz, without its mean."""
    if path.suffix == ".flac":
        samples, rate = soundfile.read(path, always_2d=True)
        sound = soxr.resample(samples.mean(1), rate, RATE)
    else:
        with render_views(whole_clip(path), [MONO]) as views:
            sound = np.array(views[MONO])
    return np.asarray(sound - sound.mean(), np.float32)


def backgrounds(media: Path) -> dict[str, np.ndarray]:
    """Recorded and drawn music, drawn noises, babble of four other recordings of the readers, at 44.1 kHz."""
    rng = np.random.default_rng(0)
    long = round(SECONDS * RATE)
    readers = [np.resize(voice / voice.std(), long) for voice in map(heard, (media / name for name in BABBLE))]
    return {
        **{name: heard(media / path) for name, path in MUSIC.items()},
        "drawn melody": melody(3, SECONDS, 110.0, MAJOR, 0.4)[0],
        "pink noise": sounds.noise(SECONDS, rng, 1.0),
        "drawn rain": KINDS["rain"](rng),
        "drawn steps": KINDS["steps"](rng),
        "babble of four": np.sum(readers, axis=0),
    }


def measure(
    backends: Mapping[str, splitters.Splitter], voices: Sequence[np.ndarray], noises: Mapping[str, np.ndarray]
) -> Iterator[Found]:
    """A row a backend and mix; each backend has split a second of noise before, so that it is loaded."""
    for name, backend in backends.items():
        backend.split(sounds.noise(1.0, np.random.default_rng(0), 1.0), RATE)
        for background, noise in noises.items():
            for voice in (full[: round(SECONDS * RATE)] for full in voices):
                for ratio in RATIOS_DB:
                    mix = mixed(voice, np.resize(noise, len(voice)), ratio)
                    wall, cpu = time.perf_counter(), time.process_time()
                    with one_thread():
                        stem, _ = backend.split(mix, RATE)
                    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                    after = si_sdr(voice, stem)
                    gain = after - si_sdr(voice, mix)
                    yield Found(name, background, ratio, after, gain, wall, cpu, len(mix) / RATE)


def mixed(voice: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    """Voice plus as much noise as makes this ratio of powers."""
    gain = np.sqrt(np.mean(voice**2) / np.mean(noise**2) / 10 ** (ratio_db / 10))
    return (voice + gain * noise).astype(np.float32)


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio of (n,) in dB."""
    truth, found = (np.asarray(sound - sound.mean(), np.float64) for sound in (reference, estimate))
    target = truth * (found @ truth) / (truth @ truth)
    return float(10 * np.log10((target @ target) / np.sum((found - target) ** 2)))


def table(found: Sequence[Found]) -> str:
    """A row a background and backend: `SI-SDR (gain over the mix)` a ratio, means over the voices; then over all."""
    names = [*dict.fromkeys(f.background for f in found), "all"]
    rows = []
    for background in names:
        for backend in dict.fromkeys(f.backend for f in found):
            of_it = [f for f in found if f.backend == backend and background in (f.background, "all")]
            rows.append([background, backend, *(_cell([f for f in of_it if f.ratio_db == r]) for r in RATIOS_DB)])
    return markdown.table(["background", "backend", *(f"{r:+d} dB" for r in RATIOS_DB)], rows)


def _cell(found: Sequence[Found]) -> str:
    return f"{np.mean([f.si_sdr_db for f in found]):.1f} ({np.mean([f.gain_db for f in found]):+.1f})"


def costs(found: Sequence[Found]) -> str:
    """A row a backend: seconds and CPU-seconds for a second of sound."""
    rows = []
    for backend in dict.fromkeys(f.backend for f in found):
        own = [f for f in found if f.backend == backend]
        seconds = sum(f.seconds for f in own)
        rows.append([backend, len(own), *(f"{sum(t) / seconds:.3f}" for t in zip(*((f.wall_s, f.cpu_s) for f in own)))])
    return markdown.table(["backend", "mixes", "RTF", "CPU-s a second of sound"], rows)


if __name__ == "__main__":
    main()
