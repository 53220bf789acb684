"""The one way to cut a range out of a source: frame 0 and sample 0 both at time 0, frame i at i / fps.

Readers that ignore timestamps (most training loaders) then stay in sync too. Everything happens on the file's own
clock (`-copyts`), where the two tracks keep their relation whatever time either starts at: the video is laid on the
source's constant-rate grid, the audio is cut to the sample at the same instant and padded where it is absent.
"""

from fractions import Fraction
from typing import Any

from media import ffmpeg, grid
from media.clip import Clip

_SEEK_BACK_S = 2.0
_SEEK_BACK_UNINDEXED_S = 12.0
_UNINDEXED = frozenset({".mpg", ".mpeg", ".vob", ".ts", ".m2ts", ".mts", ".ogg", ".ogv"})
_MICRO = 1_000_000


def open_range(clip: Clip) -> tuple[Any, Any]:
    """(video, audio) ffmpeg-python streams of the clip's source, from somewhere before the clip on; audio may be None.

    Seeking is only a saving: it lands on a key frame well before the range, and the exact cut is made on decoded
    timestamps. MPEG and Ogg have no index of key frames, so there it lands farther back than a group of pictures.
    """
    start = clip.origin_s + clip.start_s
    unindexed = clip.path[clip.path.rfind(".") :].lower() in _UNINDEXED
    back = _SEEK_BACK_UNINDEXED_S if unindexed else _SEEK_BACK_S
    options: dict[str, Any] = {"copyts": None, "max_error_rate": "0.1"}
    if clip.start_s > back:
        options |= {"noaccurate_seek": None, "seek_timestamp": 1, "ss": f"{start - back:.6f}"}
    file = ffmpeg.source(clip.path, **options)
    video = file["v:0" if clip.video_index is None else str(clip.video_index)]
    if not clip.audio_rate:
        return video, None
    return video, file["a:0" if clip.audio_index is None else str(clip.audio_index)]


def on_grid(video: Any, clip: Clip) -> Any:
    """The clip's frames: exactly `clip.frames` at `clip.fps` from time 0, each the source frame nearest in time.

    Fewer come out when the source ends early; the caller counts. A twentieth of a frame breaks ties: in a source of
    twice the rate every other frame lies midway, and rounded timestamps would toss a coin for each.
    """
    start = Fraction(clip.origin_s) + (clip.start_frame - Fraction(1, 20)) / clip.fps
    zero = round(start * _MICRO)
    return (
        video.filter("settb", "AVTB")
        .filter("setpts", f"PTS-{zero}")
        .filter("fps", fps=_text(clip.fps), start_time=0, round="near")
        .filter("trim", end_frame=clip.frames)
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


def on_samples(audio: Any, clip: Clip) -> Any:
    """The clip's sound at its own rate, sample 0 at the time of frame 0; silence where the source has none.

    Gaps of more than 40 ms inside are filled too, so that what follows stays in place. The end is not yet padded.
    """
    start = clip.origin_s + clip.start_s
    return (
        audio.filter("atrim", start=f"{start:.6f}", end=f"{start + clip.duration_s + 0.25:.6f}")
        .filter("asetpts", f"round(PTS-{start:.9f}/TB)")
        .filter("aresample", str(clip.audio_rate), **{"async": 1, "first_pts": 0, "min_hard_comp": "0.04"})
    )


def resampled(sound: Any, clip: Clip, rate: int) -> Any:
    """`on_samples` sound at `rate` Hz, padded with silence and cut to exactly `rate_samples` samples."""
    samples = rate_samples(clip, rate)
    if rate != clip.audio_rate:
        sound = sound.filter("aresample", str(rate))
    return sound.filter("apad", whole_len=samples).filter("atrim", end_sample=samples)


def channels_to(sound: Any, have: int, want: int) -> Any:
    """Sound with another number of channels: their mean for one, copies for one to many, else ffmpeg's own downmix.

    ffmpeg turns mono into stereo 3 dB down and 5.1 into mono without the low channel, so those two are spelt out.
    """
    if have == want:
        return sound
    if want == 1:
        return sound.filter("pan", args="mono|c0=" + "+".join(f"{1 / have:.9f}*c{i}" for i in range(have)))
    if have == 1:
        return sound.filter(
            "pan", args=("stereo" if want == 2 else f"{want}c") + "".join(f"|c{i}=c0" for i in range(want))
        )
    return sound.filter("aresample", ochl="stereo" if want == 2 else f"{want}c", rematrix_maxval="1.0")


def _text(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
