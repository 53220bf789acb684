"""Melodies, and pictures that show them: bars of a moving equaliser, and a dot for every note."""

from itertools import pairwise

import numpy as np

from media.synth import sounds
from media.synth.picture import HEIGHT, WIDTH, Backdrop, Colour, disc, film
from media.synth.scenes import Scene
from media.synth.sounds import RATE

MAJOR = (0, 2, 4, 5, 7, 9, 11, 12)
MINOR = (0, 2, 3, 5, 7, 8, 10, 12)
PENTATONIC = (0, 2, 4, 7, 9, 12, 14, 16)
_BARS = 16


def melody(seed: int, seconds: float, root: float, scale: tuple[int, ...], beat_s: float) -> tuple[np.ndarray, list]:
    """A tune over chords: (sound, [(start s, hertz)] of the tune's notes). root: hertz of the lowest note."""
    rng, track, tune = np.random.default_rng(seed), sounds.silence(seconds), []
    at, step = 0.0, 3
    while at < seconds - 0.2:
        length = beat_s * float(rng.choice([0.5, 1.0, 1.0, 1.5]))
        step = int(np.clip(step + rng.integers(-2, 3), 0, len(scale) - 1))
        hertz = root * 2 * 2 ** (scale[step] / 12)
        sounds.place(track, sounds.note(hertz, length * 1.15), at)
        tune.append((at, hertz))
        at += length
    for number, start in enumerate(np.arange(0, seconds, 4 * beat_s)):
        for third in (0, 2, 4):
            hertz = root * 2 ** (scale[(third + 2 * (number % 3)) % len(scale)] / 12)
            sounds.place(track, sounds.note(hertz, 4.2 * beat_s, (1, 0.6, 0.2)), float(start), 0.45)
    return track, tune


def music_scene(
    back: Backdrop,
    seed: int,
    seconds: float,
    fps: int,
    colour: Colour,
    root: float,
    scale: tuple[int, ...],
    beat_s: float,
) -> Scene:
    """A melody with the bars that follow its spectrum and a dot that jumps to each note."""
    sound, tune = melody(seed, seconds, root, scale, beat_s)
    levels = equaliser(sound, round(seconds * fps), fps)
    width = WIDTH / (_BARS + 2)

    def draw(t: float) -> np.ndarray:
        frame = back.at(t)
        for bar, level in enumerate(levels[min(len(levels) - 1, round(t * fps))]):
            x, top = round((bar + 1) * width), round(HEIGHT - 16 - 130 * level)
            shade = [round(c * (0.45 + 0.55 * level)) for c in colour]
            frame[max(0, top) : HEIGHT - 14, x : x + round(width) - 3] = shade
        start, hertz = [note for note in tune if note[0] <= t + 1e-6][-1]
        fresh = float(np.exp(-(t - start) / 0.15))
        x = WIDTH * (0.15 + 0.7 * np.log2(hertz / root) / 2.5)
        disc(frame, x, 34 + 10 * (1 - fresh), 9 + 8 * fresh, (250, 235, 160))
        return frame

    return Scene(film(seconds, fps, draw), fps, sound, tuple(at for at, _ in tune))


def equaliser(sound: np.ndarray, frames: int, fps: int) -> np.ndarray:
    """Levels (frames, 16) in [0, 1] of log-spaced bands from 100 Hz to 4 kHz, around each frame's time."""
    size = 4096
    padded = np.pad(sound, (size // 2, size))
    window = np.hanning(size)
    edges = (np.geomspace(100, 4000, _BARS + 1) / RATE * size).astype(int)
    rows = []
    for i in range(frames):
        start = round(i / fps * RATE)
        power = np.abs(np.fft.rfft(padded[start : start + size] * window)) ** 2
        rows.append([power[a : max(b, a + 1)].sum() for a, b in pairwise(edges)])
    decibel = 10 * np.log10(np.array(rows) + 1e-6)
    return np.clip((decibel - decibel.max() + 45) / 45, 0, 1)
