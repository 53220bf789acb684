"""Drawn sounds that are neither voice nor music: hisses, impacts, steps, engines, alarms. Truth by construction."""

from collections.abc import Callable, Iterator

import numpy as np
import soxr

from media.synth import sounds
from media.synth.sounds import DRUM, METAL, RATE, WOOD
from pipeline.selfcheck.labelled import Piece

SECONDS = 5.0
SEEDS = (1, 2, 3)

Draw = Callable[[np.random.Generator], np.ndarray]


def drawn() -> Iterator[Piece]:
    """Three pieces of 5 s of each kind."""
    for name, draw in KINDS.items():
        for seed in SEEDS:
            made = draw(np.random.default_rng(seed))
            sound = np.asarray(soxr.resample(made, RATE, 16_000), np.float32)
            yield Piece(0.5 * sound / max(1e-6, float(np.abs(sound).max())), "sound", "drawn", f"{name} {seed}")


def _hiss(slope: float) -> Draw:
    return lambda rng: sounds.noise(SECONDS, rng, slope)


def _rain(rng: np.random.Generator) -> np.ndarray:
    """Drops of a few milliseconds at random times and levels, over a hiss."""
    track = 0.3 * sounds.noise(SECONDS, rng, 0.6)
    for at in rng.uniform(0, SECONDS, 1500):
        drop = rng.standard_normal(200) * np.exp(-np.arange(200) / rng.uniform(15, 60))
        sounds.place(track, drop.astype(np.float32), at, float(rng.exponential(0.08)))
    return track


def _wind(rng: np.random.Generator) -> np.ndarray:
    gusts = np.interp(np.linspace(0, 8, round(SECONDS * RATE)), np.arange(9), rng.uniform(0.1, 1, 9))
    return np.asarray(sounds.noise(SECONDS, rng, 1.6) * gusts, np.float32)


def _steps(rng: np.random.Generator) -> np.ndarray:
    """A thump and a scrape each half second."""
    track = 0.02 * sounds.noise(SECONDS, rng, 1.0)
    for at in np.arange(0.2, SECONDS - 0.3, rng.uniform(0.45, 0.6)) + rng.normal(0, 0.015):
        sounds.place(track, sounds.strike(rng.uniform(55, 80), DRUM, 0.04), at)
        scrape = sounds.noise(0.12, rng, 0.8) * np.exp(-np.arange(round(0.12 * RATE)) / (0.03 * RATE))
        sounds.place(track, scrape.astype(np.float32), at + 0.03, rng.uniform(0.3, 0.8))
    return track


def _struck(partials: tuple[float, ...], low: float, high: float, decay_s: float) -> Draw:
    def draw(rng: np.random.Generator) -> np.ndarray:
        track, at = 0.1 * sounds.noise(SECONDS, rng, 1.5), 0.2
        while at < SECONDS - 0.3:
            sounds.place(track, sounds.strike(rng.uniform(low, high), partials, decay_s), at, rng.uniform(0.4, 1))
            at += rng.uniform(0.25, 0.9)
        return track

    return draw


def _engine(rng: np.random.Generator) -> np.ndarray:
    """Firing pulses of uneven strength through a box, over the noise of the intake."""
    speed = np.interp(np.linspace(0, 4, round(SECONDS * RATE)), np.arange(5), rng.uniform(25, 60, 5))
    beats = np.flatnonzero(np.diff(np.floor(np.cumsum(speed) / RATE)))
    pulses = np.zeros(round(SECONDS * RATE))
    pulses[beats] = rng.uniform(0.5, 1, len(beats))
    box = np.exp(-np.arange(2000) / 250) * np.sin(2 * np.pi * rng.uniform(80, 160) * np.arange(2000) / RATE)
    fired = np.convolve(pulses, box)[: len(pulses)]
    return np.asarray(fired + 0.4 * sounds.noise(SECONDS, rng, 1.2), np.float32)


def _hum(rng: np.random.Generator) -> np.ndarray:
    """The mains, with its harmonics, over a hiss."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    hum = sum(rng.uniform(0.2, 1) / k * np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6)) for k in range(1, 9))
    return np.asarray(0.2 * hum + 0.2 * sounds.noise(SECONDS, rng, 0.5), np.float32)


def _alarm(rng: np.random.Generator) -> np.ndarray:
    """Beeps of one pitch, evenly."""
    track, pitch, every = 0.02 * sounds.noise(SECONDS, rng, 1.0), rng.uniform(900, 2800), rng.uniform(0.3, 0.8)
    for at in np.arange(0.1, SECONDS - 0.2, every):
        sounds.place(track, sounds.beep(pitch, min(0.25, every / 2)), at)
    return track


def _siren(rng: np.random.Generator) -> np.ndarray:
    t = np.arange(round(SECONDS * RATE)) / RATE
    pitch = 900 + 350 * np.sin(2 * np.pi * rng.uniform(0.3, 3) * t)
    return np.asarray(sounds.engine(pitch) + 0.05 * sounds.noise(SECONDS, rng, 1.0), np.float32)


KINDS: dict[str, Draw] = {
    "white noise": _hiss(0.0),
    "pink noise": _hiss(1.0),
    "brown noise": _hiss(2.0),
    "rain": _rain,
    "wind": _wind,
    "steps": _steps,
    "wood": _struck(WOOD, 250, 600, 0.12),
    "metal": _struck(METAL, 400, 1600, 0.35),
    "drum": _struck(DRUM, 70, 160, 0.2),
    "engine": _engine,
    "hum": _hum,
    "alarm": _alarm,
    "siren": _siren,
}
