"""The one way to cut a range out of a source: frame 0 and sample 0 both at time 0, frame i at i / fps.

Readers that ignore timestamps (most training loaders) then stay in sync too. Everything happens on the file's own
clock (`-copyts`), where the two tracks keep their relation whatever time either starts at: the video is laid on the
source's constant-rate grid, the audio is cut to the sample at the same instant and padded where it is absent.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ffmpeg as ffmpeg_python

from media import ffmpeg, grid, hardware, picture
from media.clip import Clip

_MICRO = 1_000_000
_TIE = Fraction(1, 20)
_TIE_S = Fraction(9, 10_000)
_LEAD = Fraction(1, 20)
_TAIL = Fraction(1, 4)
_LEAST_HOLE_S = 0.001
_MOST_HOLE_S = 0.04
_NAMED = frozenset({10, 12, 14, 16, 24})  # above 8: 5.1.4, 7.1.4, 9.1.4, 16 around, 22.2
_DRIFT_S = 0.002
_PATIENCE = 12


@dataclass(frozen=True)
class Opening:
    """How a source is opened for a clip. back_s: seconds before the clip that it is sought to, None for its start.

    pipe: a descriptor from which the clip's sound comes instead (`media.steady`).
    """

    back_s: float | None = None
    pipe: int | None = None

    @property
    def keep(self) -> list[int]:
        """Descriptors that the ffmpeg that renders must inherit."""
        return [] if self.pipe is None else [self.pipe]


START = Opening()


def open_range(clip: Clip, opening: Opening = START) -> tuple[Any, Any]:
    """(video, audio) ffmpeg-python streams of the clip's source; audio may be None, and is `placed`.

    The exact cut is made later, on decoded timestamps. Sound that changes its shape fails with media:sound_changes.
    """
    on_card = hardware.decoder_options(clip.decoder) if clip.look.exact else {}
    options = _options(clip, opening.back_s) | picture.decoder_options(clip.look) | on_card
    file = ffmpeg.source(clip.path, **options, **{"reinit_filter:a": 0})
    video = file["v:0" if clip.video_index is None else str(clip.video_index)]
    if not clip.audio_rate:
        return video, None
    if opening.pipe is not None:
        return video, ffmpeg_python.input(f"pipe:{opening.pipe}", f="nut", copyts=None)["a:0"]
    return video, placed(_track(file, clip), clip)


def source_sound(clip: Clip, back_s: float | None) -> Any:
    """The clip's audio track as it is, changes and all."""
    return _track(ffmpeg.source(clip.path, **_options(clip, back_s)), clip)


def _options(clip: Clip, back_s: float | None) -> dict[str, Any]:
    options: dict[str, Any] = {"copyts": None, "max_error_rate": "0.1"}
    if back_s is not None:
        start = clip.origin_s + clip.start_s - back_s
        options |= {"noaccurate_seek": None, "seek_timestamp": 1, "ss": f"{start:.6f}"}
    return options


def _track(file: Any, clip: Clip) -> Any:
    return file["a:0" if clip.audio_index is None else str(clip.audio_index)]


def on_grid(video: Any, clip: Clip) -> Any:
    """The clip's frames: exactly `clip.frames` at `clip.fps` from time 0, each the source frame nearest in time.

    Fewer come out when the source ends early or was opened too late; the caller counts. A twentieth of a frame, at
    most 0.9 ms, breaks ties: in a source of twice the rate every other frame lies midway, and rounded timestamps would
    toss a coin for each.
    """
    zero = round((clip.start - min(_TIE / clip.fps, _TIE_S)) * _MICRO)
    return (
        picture.whole_frames(video, clip.look)
        .filter("settb", "AVTB")
        .filter("setpts", f"PTS-{zero}")
        .filter("fps", fps=_text(clip.fps), round="near")
        .filter("trim", start_pts=0, end_pts=clip.frames)
    )


def at_rate(frames: Any, clip: Clip, fps: int) -> Any:
    """`on_grid` frames at another rate: frame i is the one nearest to i / fps. Exactly `rate_frames` of them.

    `fps` alone would show each frame up to half an output frame early; half a grid frame of shift makes it nearest.
    """
    half = round(_MICRO / clip.fps / 2)
    return (
        frames.filter("settb", "AVTB")
        .filter("setpts", f"PTS-{half}")
        .filter("fps", fps=str(fps), start_time=0, round="up")
        .filter("tpad", stop_mode="clone", stop=-1)
        .filter("trim", end_frame=rate_frames(clip, fps))
    )


def rate_frames(clip: Clip, fps: int | None) -> int:
    """Frames of the clip at `fps` (None: its own rate), rounded half up, at least one."""
    return clip.frames if fps is None else max(1, grid.count(Fraction(clip.frames) / clip.fps, fps))


def rate_samples(clip: Clip, rate: int) -> int:
    """Samples of the clip at `rate` Hz, rounded half up."""
    return grid.count(Fraction(clip.frames) / clip.fps, rate)


def placed(audio: Any, clip: Clip) -> Any:
    """The blocks of sound around the clip, timed in samples from `_first_sample` on, a little before frame 0.

    Blocks are put back where the sample count has them when coarse timestamps (milliseconds in Matroska, FLV and ASF)
    say no more than that: the first block after a seek must not bring its own rounding error.
    """
    first, rate = _first_sample(clip), clip.audio_rate
    last = first + grid.count(Fraction(clip.frames) / clip.fps + _LEAD + _TAIL, rate)
    return (
        _on_lattice(audio.filter("asettb", f"1/{rate}"), clip)
        .filter("atrim", start_pts=first, end_pts=last)
        .filter("asetpts", f"PTS-({first})")
    )


def on_samples(sound: Any, clip: Clip) -> Any:
    """`placed` sound, sample by sample at its own rate.

    Silence where the source has none: before its sound begins, and in holes, so that what follows stays in place. The
    end is not yet padded.
    """
    hole = min(max(1.5 * clip.audio_slack_s, _LEAST_HOLE_S), _MOST_HOLE_S)
    gaps = {"min_comp": f"{0.5 / clip.audio_rate:.9f}", "min_hard_comp": f"{hole:.6f}"}
    return sound.filter("aresample", str(clip.audio_rate), **{"async": 1, "first_pts": 0, **gaps})


def _on_lattice(sound: Any, clip: Clip) -> Any:
    """Blocks whose timestamps are within `audio_slack_s` of anchor + k steps, there; the others where they were.

    Where the timestamps stray farther (`_MOST_HOLE_S`), by the count of samples since the first block read, until they
    differ from it by that much at once, or by `_DRIFT_S` for `_PATIENCE` blocks on end.
    """
    rate, step = clip.audio_rate, clip.audio_step
    if step:
        anchor, slack = round(clip.audio_anchor_s * rate), 1 + int(clip.audio_slack_s * rate)
        near = f"{anchor}+{step}*round((PTS-({anchor}))/{step})"
        return sound.filter("asetpts", f"if(lte(abs(PTS-({near})),{slack}),{near},PTS)")
    if clip.audio_slack_s < _MOST_HOLE_S:
        return sound
    drift, jump = int(_DRIFT_S * rate), int(_MOST_HOLE_S * rate)
    late, times = "st(2,PTS-ld(0))", f"if(gt(ld(2),{drift}),max(ld(1),0)+1,if(lt(ld(2),-{drift}),min(ld(1),0)-1,0))"
    moved = f"eq(N,0)+gt(abs(ld(2)),{jump})+gte(abs(ld(1)),{_PATIENCE})"
    return sound.filter(
        "asetpts", f"{late};st(1,{times});if({moved},st(0,PTS);st(1,0));st(3,ld(0));st(0,ld(3)+S);ld(3)"
    )


def _first_sample(clip: Clip) -> int:
    """Where `on_samples` begins: a source sample on the file's clock, `_LEAD` before frame 0 (resamplers need it)."""
    return grid.count(clip.start - _LEAD, clip.audio_rate)


def resampled(sound: Any, clip: Clip, rate: int) -> Any:
    """`on_samples` sound at `rate` Hz, padded with silence and cut to exactly `rate_samples` samples from frame 0 on.

    It is cut after resampling, so that the start is right to half a sample of either rate.
    """
    samples = rate_samples(clip, rate)
    skip = grid.count(clip.start - Fraction(_first_sample(clip), clip.audio_rate), rate)
    if rate != clip.audio_rate:
        sound = sound.filter("aresample", str(rate))
    return (
        sound.filter("apad", whole_len=skip + samples)
        .filter("atrim", start_sample=skip, end_sample=skip + samples)
        .filter("asetpts", "N")
    )


def channels_to(sound: Any, have: int, want: int) -> Any:
    """Sound with another number of channels: their mean for one, copies for one to many, else ffmpeg's own downmix.

    ffmpeg turns mono into stereo 3 dB down and 5.1 into mono without the low channel, so those two are spelt out. It
    knows no loudspeakers for some numbers of channels: there, every second one goes to the same side. Nothing clips:
    the coefficients of one output never add up to more than 1.
    """
    if have == want:
        return sound
    if want == 1:
        return sound.filter("pan", args=f"mono|c0={_mean(range(have))}")
    if want == 2 and have > 8 and have not in _NAMED:
        left, right = _mean(range(0, have, 2)), _mean(range(1, have, 2))
        return sound.filter("pan", args=f"stereo|c0={left}|c1={right}")
    if have == 1:
        return sound.filter(
            "pan", args=("stereo" if want == 2 else f"{want}c") + "".join(f"|c{i}=c0" for i in range(want))
        )
    return sound.filter("aresample", ochl="stereo" if want == 2 else f"{want}c", rematrix_maxval="1.0")


def _mean(channels: range) -> str:
    return "+".join(f"{1 / len(channels):.9f}*c{i}" for i in channels)


def _text(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
