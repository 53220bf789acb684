"""How far a cut moved sound against picture: the offset of every flash and chirp before (source) and after (sample).

Before: the source decoded from its start by ffmpeg, edit lists and priming honoured, on its own timestamps. After: the
encoded sample, three times: by timestamps, by frame and sample index alone, and by timestamps with edit lists ignored.
"""

import subprocess
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import soxr

from bench.sync_sources import Spec, chirp, make
from manifests.errors import MediaError
from media import ffmpeg
from media.clip import Clip
from media.encode import EncodeRecipe, encode_clip
from media.render import render_views
from media.scratch import scratch_dir
from media.views import AudioView, VideoView
from media.whole import whole_clip

_BRIGHT = 120
_EDGE_S = 0.12
_NEAR_S = 0.2
_WAVE_S = 0.14


@dataclass(frozen=True)
class Decoded:
    """A decoded file. times: of each frame, seconds. bright: bool per frame. blocks: (start in seconds, samples)."""

    times: np.ndarray
    bright: np.ndarray
    blocks: tuple[tuple[Fraction, np.ndarray], ...]
    rate: int

    def onsets(self) -> np.ndarray:
        """Indices of the frames at which a flash begins."""
        return np.flatnonzero(self.bright[1:] & ~self.bright[:-1]) + 1


@dataclass(frozen=True)
class Event:
    """One event of one cut. *_ms: by how much the sample's offset of sound and picture differs from the source's.

    samples: how far the sound is from its place, in samples of the output; allowed: how far it may be. frames: how far
    the flash is from its place, in frames of the output at `fps`.
    """

    by_time_ms: float
    by_index_ms: float
    ignoring_edits_ms: float
    samples: float
    allowed: float
    frames: float
    fps: float

    @property
    def wrong(self) -> bool:
        """Farther off than half an output frame and 1 ms, or the sound not at its sample."""
        worst = max(abs(self.by_time_ms), abs(self.by_index_ms), abs(self.ignoring_edits_ms))
        return worst > 500 / self.fps + 1 or abs(self.samples) > self.allowed


@dataclass(frozen=True)
class Outcome:
    """What became of one source: its events in all cuts, and what went wrong, in words."""

    spec: Spec
    events: tuple[Event, ...]
    problems: tuple[str, ...]


def survey(spec: Spec, folder: Path, places: int = 4) -> Outcome:
    """Make the source, cut it in several places, at its own sample rate and at another, and compare every event."""
    path = make(spec, folder)
    try:
        whole = whole_clip(path)
    except MediaError as error:
        return Outcome(spec, (), (f"not readable: {error}",))
    assert whole.video_index is not None and whole.audio_index is not None
    before = decode(path, whole.video_index, whole.audio_index, wobble_s=spec.wobble_s)
    events: list[Event] = []
    problems: list[str] = []
    for clip in cuts(whole, np.random.default_rng(spec.seed), places):
        for rate in (whole.audio_rate, 48_000 if whole.audio_rate == 44_100 else 44_100):
            recipe = EncodeRecipe(preset="ultrafast", crf=10, audio_rate=rate)
            try:
                found, lost = measure(clip, before, spec, folder, recipe)
            except MediaError as error:
                problems.append(f"frame {clip.start_frame} at {rate} Hz: {error.code} {error.message[-200:]}")
                continue
            events += found
            problems += [f"frame {clip.start_frame} at {rate} Hz: {what}" for what in lost]
            problems += [f"frame {clip.start_frame} at {rate} Hz: {event}" for event in found if event.wrong]
    return Outcome(spec, tuple(events), tuple(problems))


def decode(path: Path, video: int | str, audio: int | str, *options: str, wobble_s: float = 0.0) -> Decoded:
    """Decode a whole file with its own timestamps, by the packaged ffmpeg, without any of klear's cutting.

    Blocks of sound whose timestamps are within `wobble_s` of the end of the block before count as following it.
    """
    base = [ffmpeg.binary(), "-nostdin", "-loglevel", "error", "-y", "-copyts", *options, "-i", ffmpeg.file_url(path)]
    small = "scale=4:4:flags=area,format=gray,settb=1/720000"
    picture = ["-map", f"0:{video}", "-fps_mode", "passthrough", "-vf", small, "-enc_time_base", "1:720000"]
    sound = ["-map", f"0:{audio}", "-c:a", "pcm_f32le"]
    with tempfile.TemporaryDirectory(dir=scratch_dir()) as folder:
        names = [f"{folder}/{name}" for name in ("shown", "light", "heard", "samples")]
        argv = [*base, *picture, "-c:v", "rawvideo", "-f", "framecrc", names[0], *picture, "-f", "rawvideo", names[1]]
        argv += [*sound, "-f", "framecrc", names[2], *sound, "-f", "f32le", names[3]]
        subprocess.run(argv, check=True, capture_output=True, timeout=300)
        shown, light, heard, samples = (Path(name).read_bytes() for name in names)
    bright = np.frombuffer(light, np.uint8).reshape(-1, 16).mean(1) > _BRIGHT
    base_s, rows, _ = _stamps(shown)
    rate_s, blocks, channels = _stamps(heard)
    track = np.frombuffer(samples, "<f4").reshape(-1, channels)[:, 0]
    ends = np.cumsum([size // (4 * channels) for _, size in blocks])
    parts = [(pts * rate_s, track[end - size // (4 * channels) : end]) for (pts, size), end in zip(blocks, ends)]
    return Decoded(
        np.array([float(pts * base_s) for pts, _ in rows]),
        bright,
        tuple(_joined(parts, rate_s, wobble_s)),
        int(1 / rate_s),
    )


def _stamps(text: bytes) -> tuple[Fraction, list[tuple[int, int]], int]:
    """Time base, (pts, bytes) of every packet, channels of a framecrc listing."""
    lines = text.decode().splitlines()
    base = next(Fraction(line.split()[2]) for line in lines if line.startswith("#tb 0:"))
    layout = next((line.split(":")[1].strip() for line in lines if line.startswith("#channel_layout_name 0")), "mono")
    rows = [line.split(",") for line in lines if line[:1] == "0"]
    return base, [(int(row[2]), int(row[4])) for row in rows], _CHANNELS[layout]


_CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6, "5.1(side)": 6, "7.1": 8, "7.1(wide)": 8}


def _joined(
    parts: list[tuple[Fraction, np.ndarray]], step: Fraction, wobble_s: float
) -> list[tuple[Fraction, np.ndarray]]:
    """Blocks that follow each other without a gap, as one."""
    runs: list[tuple[Fraction, list[np.ndarray]]] = []
    end = Fraction(0)
    for start, block in parts:
        if runs and abs(start - end) <= wobble_s:
            runs[-1][1].append(block)
        else:
            runs.append((start, [block]))
            end = start
        end += len(block) * step
    return [(start, np.concatenate(blocks)) for start, blocks in runs]


def measure(
    clip: Clip, before: Decoded, spec: Spec, folder: Path, recipe: EncodeRecipe
) -> tuple[list[Event], list[str]]:
    """Encode the clip and compare every event well inside it; also what was lost, and where views disagree."""
    out = folder / "sample.mp4"
    encode_clip(clip, out, recipe)
    after, unedited = decode(out, "v:0", "a:0"), decode(out, "v:0", "a:0", "-ignore_editlist", "1")
    zero = Fraction(clip.origin_s) + clip.start_frame / clip.fps
    found = []
    for onset in before.onsets():
        place = before.times[onset] - float(zero)
        if _EDGE_S + 1 / clip.fps < place < clip.duration_s - _EDGE_S - 0.1:
            found.append(_event(before, before.times[onset], spec, zero, after, unedited, clip))
    lost = [event for event in found if isinstance(event, str)]
    return [event for event in found if isinstance(event, Event)], lost + _disagreements(clip, after, recipe)


def _disagreements(clip: Clip, after: Decoded, recipe: EncodeRecipe) -> list[str]:
    """Where views rendered straight from the source differ from the encoded clip: brightness of frames, the sound."""
    picture, sound = VideoView("picture", box=(16, 16)), AudioView("sound", recipe.audio_rate, recipe.audio_channels)
    with render_views(clip, [picture, sound]) as views:
        bright = views[picture].mean((1, 2)) > 255 / 219 * (_BRIGHT - 16)
        heard = np.clip(views[sound][:, 0], -1, 1)  # MP3 after a hole may go beyond full scale; 16 bits cannot
        apart = np.abs(heard - np.concatenate([block for _, block in after.blocks])).max()
    wrong = ["views show other frames"] if not np.array_equal(bright, after.bright) else []
    return wrong + ([f"views sound otherwise, by {apart:.4f}"] if apart > 2 / 32768 else [])


def _event(
    before: Decoded, flash_s: float, spec: Spec, zero: Fraction, after: Decoded, unedited: Decoded, clip: Clip
) -> Event | str | None:
    late = spec.audio_at - spec.video_at
    heard = _chirp_near(before, flash_s + late) or _chirp_near(before, flash_s)  # not every container can be late
    if heard is None:
        return None
    start, wave, run = heard
    place = flash_s - float(zero)
    onsets = after.onsets()
    seen = int(onsets[np.abs(onsets / float(clip.fps) - place).argmin()]) if len(onsets) else 0
    if not seen or abs(seen / float(clip.fps) - place) > _NEAR_S:
        return f"flash at {place:.3f} s is lost"
    expected = float((start - zero) * after.rate)
    if not 0 <= expected <= (clip.duration_s - _WAVE_S) * after.rate:
        return None
    if before.rate != after.rate:
        wave = soxr.resample(wave, before.rate, after.rate, quality="VHQ")
    found = _lag(np.concatenate([block for _, block in after.blocks]), wave, expected)
    if found is None:
        return f"sound at {expected / after.rate:.3f} s is lost"
    was = float(start) - flash_s
    by_time = [float(run.blocks[0][0]) + found / after.rate - run.times[seen] for run in (after, unedited)]
    vague = spec.tick_s if run or not clip.audio_step else 0.0  # the source itself says no more
    return Event(
        by_time_ms=float(1000 * (by_time[0] - was)),
        by_index_ms=1000 * (found / after.rate - seen / float(clip.fps) - was),
        ignoring_edits_ms=float(1000 * (by_time[1] - was)),
        samples=found - expected,
        allowed=(0.5 if before.rate == after.rate else 1.0) + 0.02 + vague * after.rate,
        frames=seen - place * float(clip.fps),
        fps=float(clip.fps),
    )


def _chirp_near(before: Decoded, place_s: float) -> tuple[Fraction, np.ndarray, int] | None:
    """When the 140 ms of the source's sound around the chirp nearest to a place start, they, and in which run of blocks
    they lie; None without one."""
    ideal, long = chirp(before.rate), round(_WAVE_S * before.rate)
    for run, (start, samples) in enumerate(before.blocks):
        first = max(0, round((place_s - _NEAR_S - float(start)) * before.rate))
        found = _best(samples[first : max(0, first + round(2 * _NEAR_S * before.rate))], ideal, 0.6)
        if found is None:
            continue
        first += round(found) - round(0.04 * before.rate)
        if first >= 0 and first + long <= len(samples):
            return start + Fraction(first, before.rate), samples[first : first + long], run
    return None


def _lag(whole: np.ndarray, wave: np.ndarray, expected: float) -> float | None:
    """Where `wave` lies in `whole`, in samples to a fraction, looked for within 140 ms."""
    first = max(0, round(expected) - len(wave))
    found = _best(whole[first : max(0, round(expected) + 2 * len(wave))], wave, 0.9)
    return None if found is None else first + found


def _best(near: np.ndarray, wave: np.ndarray, least: float) -> float | None:
    """Where `wave` fits best in `near`, to a fraction of a sample; None below a correlation of `least`."""
    if len(near) < len(wave):
        return None
    score = np.correlate(near.astype(np.float64), wave.astype(np.float64), "valid")
    best = int(score.argmax())
    power = np.sqrt((near[best : best + len(wave)] ** 2).sum() * (wave**2).sum())
    if score[best] < least * power or power == 0:
        return None
    if not 0 < best < len(score) - 1:
        return float(best)
    left, middle, right = score[best - 1 : best + 2]
    return float(best + 0.5 * (left - right) / (left - 2 * middle + right))


def cuts(clip: Clip, rng: np.random.Generator, places: int) -> list[Clip]:
    """Ranges to cut out of a whole source: its end, its start, and others anywhere. 2.5 s each, or all there is."""
    long = min(clip.frames, max(1, round(2.5 * clip.fps)))
    last = clip.frames - long
    starts = [last, 0, *(int(i) for i in rng.integers(0, last + 1, max(0, places - 2)))][:places]
    return [replace(clip, start_frame=start, frames=long) for start in sorted(set(starts))]
