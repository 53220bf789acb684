"""Scenes whose pictures and sounds belong together: every visible event has its sound, at a known time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from media.synth import sounds
from media.synth.picture import HEIGHT, WIDTH, Backdrop, Colour, disc, film, line
from media.synth.sounds import RATE


@dataclass(frozen=True)
class Scene:
    """frames: RGB uint8 (T, H, W, 3) at `fps`; sound: float32 (n,) at 44.1 kHz; events_s: when things happen."""

    frames: np.ndarray
    fps: int
    sound: np.ndarray
    events_s: tuple[float, ...] = ()


def event_times(seed: int, seconds: float, low: float, high: float) -> list[float]:
    """Times without a period: gaps drawn from [low, high] seconds, none in the last 0.4 s."""
    rng, times = np.random.default_rng(seed), [0.45]
    while times[-1] + high < seconds - 0.4:
        times.append(times[-1] + float(rng.uniform(low, high)))
    return times


def flash_beep(back: Backdrop, seed: int, seconds: float, fps: int, offset_s: float) -> Scene:
    """A lamp that lights up for 80 ms, each time with a beep `offset_s` later (earlier when negative).

    The lamp covers an eighth of the frame: enough to see, too little to look like a cut.
    """
    times = [round(t * fps) / fps for t in event_times(seed, seconds, 0.5, 1.1)]

    def draw(t: float) -> np.ndarray:
        frame = back.at(t)
        lit = any(at - 1e-6 <= t < at + 0.08 - 1e-6 for at in times)
        disc(frame, WIDTH / 2, HEIGHT / 2 - 10, 50, (255, 250, 225) if lit else (45, 42, 40))
        return frame

    track = 0.02 * sounds.noise(seconds, np.random.default_rng(seed), 1.0)
    for at in times:
        sounds.place(track, sounds.beep(), at + offset_s)
    return Scene(film(seconds, fps, draw), fps, track, tuple(times))


def bounce(
    back: Backdrop,
    seed: int,
    seconds: float,
    fps: int,
    colour: Colour,
    hertz: float,
    partials: Sequence[float],
    radius: float = 20,
) -> Scene:
    """A ball that bounces across the floor, struck sounds at its impacts, over a quiet room."""
    times = event_times(seed, seconds, 0.32, 0.62)
    floor, speed = HEIGHT - 22.0 - radius, 70.0

    def draw(t: float) -> np.ndarray:
        frame = back.at(t)
        height, since = _flight(t, times)
        x = _to_and_fro(40 + speed * t, radius, WIDTH - radius)
        disc(frame, x, HEIGHT - 18, radius * 0.9, (40, 38, 42), squash=8)
        disc(frame, x, floor - height, radius, colour, squash=1 + 0.5 * np.exp(-since / 0.04))
        return frame

    track = 0.25 * sounds.noise(seconds, np.random.default_rng(seed), 1.5)
    for number, at in enumerate(times):
        sounds.place(track, sounds.strike(hertz * (1 + 0.12 * (number % 3)), partials), at)
    return Scene(film(seconds, fps, draw), fps, track, tuple(times))


def _flight(t: float, times: Sequence[float]) -> tuple[float, float]:
    """(height above the floor in pixels, seconds since the last impact) of a ball that lands at `times`."""
    landed = max((at for at in times if at <= t), default=times[0] - 0.5)
    lands = min((at for at in times if at > t), default=landed + 0.5)
    gravity = 1100.0
    return max(0.0, 0.5 * gravity * (t - landed) * (lands - t)), t - landed


def _to_and_fro(x: float, low: float, high: float) -> float:
    span = high - low
    return low + abs((x - low) % (2 * span) - span) if span > 0 else low


def pendulum(back: Backdrop, seed: int, seconds: float, fps: int, colour: Colour, hertz: float) -> Scene:
    """A pendulum between two bells at uneven times; it rings left and right at different pitches."""
    times = event_times(seed, seconds, 0.4, 0.75)
    reach, length, pivot = 0.85, 130.0, (WIDTH / 2, 18.0)

    def draw(t: float) -> np.ndarray:
        frame = back.at(t)
        struck = sum(at <= t for at in times)
        last = times[struck - 1] if struck else times[0] - 0.5
        following = times[struck] if struck < len(times) else last + 0.5
        side = -1 if struck % 2 else 1
        angle = side * reach * np.cos(np.pi * (t - last) / (following - last))
        tip = (pivot[0] + length * np.sin(angle), pivot[1] + length * np.cos(angle))
        for bell in (-1, 1):
            ringing = 6 * np.exp(-(t - last) / 0.06) if bell == side and struck else 0.0
            disc(frame, pivot[0] + bell * 125, 108, 22 + ringing, (215, 180, 70))
        line(frame, pivot, tip, (60, 50, 45), 3)
        disc(frame, *tip, 17, colour)
        return frame

    track = 0.2 * sounds.noise(seconds, np.random.default_rng(seed), 1.2)
    for number, at in enumerate(times):
        sounds.place(track, sounds.strike(hertz if number % 2 else hertz * 1.26, sounds.METAL, 0.45), at)
    return Scene(film(seconds, fps, draw), fps, track, tuple(times))


def engine(back: Backdrop, seed: int, seconds: float, fps: int, colour: Colour, hertz: float) -> Scene:
    """A wheel that speeds up and slows down while it rolls, with a buzz whose pitch is its speed."""
    rng = np.random.default_rng(seed)
    rates, phases = rng.uniform(0.25, 0.7, 2), rng.uniform(0, 2 * np.pi, 2)

    def speed(t: np.ndarray) -> np.ndarray:
        """Turns a second, 0.5 to 2.5."""
        return (
            1.5
            + 0.5 * np.sin(2 * np.pi * rates[0] * t + phases[0])
            + 0.5 * np.sin(2 * np.pi * rates[1] * t + phases[1])
        )

    grid = np.arange(round(seconds * RATE)) / RATE
    turned = np.cumsum(speed(grid)) / RATE

    def draw(t: float) -> np.ndarray:
        frame = back.at(t)
        angle = 2 * np.pi * turned[min(len(turned) - 1, round(t * RATE))]
        x, y, radius = _to_and_fro(60 + 18 * angle, 45, WIDTH - 45), HEIGHT - 64.0, 42.0
        disc(frame, x, y, radius, (48, 46, 50))
        disc(frame, x, y, radius * 0.8, colour)
        for spoke in range(4):
            a = angle + spoke * np.pi / 2
            line(frame, (x, y), (x + 0.78 * radius * np.cos(a), y + 0.78 * radius * np.sin(a)), (245, 240, 225), 4)
        return frame

    track = sounds.engine(hertz * speed(grid)) + 0.1 * sounds.noise(seconds, rng, 1.5)
    return Scene(film(seconds, fps, draw), fps, track.astype(np.float32))
