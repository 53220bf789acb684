"""Sources for measuring sync: flashes and chirps at irregular distances, in any container, codec, rate and offset.

A `Spec` says how one file is made; `draw` chooses a combination that ffmpeg can write. No shift of one track matches
by accident: events lie at pseudo-random distances, and each sound has its own offset from its picture.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from media import ffmpeg

WIDTH, HEIGHT = 96, 64
_TICK = Fraction(1, 360_000)  # fine enough for every rate and for jitter


@dataclass(frozen=True)
class Spec:
    """How to make one source.

    container: file suffix. video, audio: encoder options. pace: how frames are spaced (`_PACES`). hole: (start, length)
    seconds of lost audio packets. video_at, audio_at: seconds that either track is late. mux: options of the muxer.
    remux: options of a second, stream-copying pass: (before the input, after it).
    """

    container: str
    video: tuple[str, ...]
    audio: tuple[str, ...]
    fps: Fraction = Fraction(25)
    seconds: float = 7.0
    rate: int = 48_000
    channels: int = 2
    pace: str = "even"
    hole: tuple[float, float] | None = None
    video_at: float = 0.0
    audio_at: float = 0.0
    mux: tuple[str, ...] = ()
    remux: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    audio_from: float = 0.0
    audio_to: float | None = None
    tracks: int = 1
    fields: str = ""
    seed: int = 0

    @property
    def title(self) -> str:
        """One line that tells this source from others."""
        said = [
            self.container,
            self.video[1],
            self.audio[1],
            f"{float(self.fps):.5g}fps",
            f"{self.rate}Hz/{self.channels}",
        ]
        said += [self.pace] * (self.pace != "even") + [self.fields] * bool(self.fields)
        said += [f"hole{self.hole[1]:g}"] if self.hole else []
        said += [f"tracks{self.tracks}"] * (self.tracks > 1)
        said += [f"v+{self.video_at:g}"] * bool(self.video_at) + [f"a+{self.audio_at:g}"] * bool(self.audio_at)
        said += [f"a[{self.audio_from:g}:{self.audio_to}]"] * bool(self.audio_from or self.audio_to)
        said += [f"{self.seconds:g}s"] * (self.seconds != 7) + [" ".join(self.mux)] * bool(self.mux)
        said += [" ".join(sum(self.remux, ()))] if self.remux else []
        return f"{' '.join(said)} seed{self.seed}"

    @property
    def tick_s(self) -> float:
        """How coarse the container's timestamps are, in seconds."""
        return 0.001 if self.container in {"mkv", "webm", "flv", "wmv"} else 0.0

    @property
    def wobble_s(self) -> float:
        """By how much ffmpeg's timestamps of blocks of sound stray in a track without holes, in seconds.

        MPEG program streams restart their count of 90 kHz ticks with every packet: a sample more or less.
        """
        strays = {"ogv": 0.03, "mpg": 1.01 / self.rate}
        return strays.get(self.container, 1.1 * self.tick_s)


def _paces(pace: str, fps: Fraction, seconds: float, rng: np.random.Generator) -> list[Fraction]:
    """Times of the frames, in seconds, each a multiple of the tick."""
    count = int(seconds * fps)
    even = [i / fps for i in range(count)]
    if pace == "even":
        return even
    if pace == "jitter":  # up to a third of a frame early or late
        times = [t + Fraction(int(rng.integers(-333, 334)), 1000) / fps for t in even]
    elif pace == "drop":  # one frame in five is missing
        times = [t for i, t in enumerate(even) if i == 0 or rng.random() > 0.2]
    elif pace == "switch":  # full rate, half rate, in turns
        times = [t for i, t in enumerate(even) if (i // (2 * int(fps))) % 2 == 0 or i % 2 == 0]
    else:  # "screen": bursts with holds of up to 1.5 s between
        times, at = [], Fraction(0)
        while at < Fraction(seconds):
            burst = int(rng.integers(3, 12))
            times += [at + i / fps for i in range(burst)]
            at += burst / fps + Fraction(int(rng.integers(0, 1500)), 1000)
    return [round(max(t, Fraction(0)) / _TICK) * _TICK for t in times]


def chirp(rate: int) -> np.ndarray:
    """50 ms from 500 Hz to 3 kHz: its place can be told to the sample. Float32 (n,)."""
    t = np.arange(int(0.05 * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (500 * t + 25_000 * t**2)) * np.hanning(len(t)) ** 0.3).astype(np.float32)


def make(spec: Spec, folder: Path) -> Path:
    """Write the source of `spec` into `folder` and return its path. Raises CalledProcessError when ffmpeg cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(spec.seed)
    times = _paces(spec.pace, spec.fps, spec.seconds, rng)
    events = _events(times, spec, rng)
    _write_picture(folder / "picture.nut", times, events, spec.fps)
    _sound(events, spec, rng).tofile(folder / "sound.raw")
    raw = ["-f", "f32le", "-ar", str(spec.rate), "-ac", str(spec.channels), "-i", str(folder / "sound.raw")]
    made = folder / f"made.{spec.container}"
    maps = ["-map", "0:v", *["-map", "1:a"] * spec.tracks]
    sound = f"atrim={spec.audio_from}:{spec.audio_to or 999},asetpts=PTS+{spec.audio_at}/TB"
    weave = {"tff": "tinterlace=interleave_top,setfield=tff,", "bff": "tinterlace=interleave_bottom,setfield=bff,"}.get(
        spec.fields, ""
    )
    argv = [
        *("-i", str(folder / "picture.nut"), *raw, *maps, "-fps_mode", "passthrough"),
        *("-vf", f"{weave}setpts=PTS+{spec.video_at}/TB", "-af", sound),
        *(*spec.video, *spec.audio, *_hole(spec), *spec.mux, "-y", str(made)),
    ]
    _run(argv)
    if spec.remux is None:
        return made
    again = folder / f"again.{spec.container}"
    before, after = spec.remux
    _run([*before, "-i", str(made), "-map", "0", "-c", "copy", *after, "-y", str(again)])
    return again


def _run(argv: list[str]) -> None:
    quiet = [ffmpeg.binary(), "-nostdin", "-loglevel", "error"]
    subprocess.run([*quiet, *argv], check=True, stderr=subprocess.PIPE, timeout=120)


def _events(times: list[Fraction], spec: Spec, rng: np.random.Generator) -> list[tuple[int, float]]:
    """(first bright frame, time of the chirp) of each event; bright lasts for two frames or 80 ms."""
    events, at = [], 0.3
    for i, t in enumerate(times):
        if float(t) >= at and (not spec.fields or i % 2 == 0):
            events.append((i, max(0.0, float(t) + rng.uniform(-0.03, 0.03))))
            at = float(t) + rng.uniform(0.45, 1.1) + 3 / float(spec.fps)
    return events


def _write_picture(path: Path, times: list[Fraction], events: list[tuple[int, float]], fps: Fraction) -> None:
    long = max(2, round(0.08 * fps))
    bright = {i + k for i, _ in events for k in range(long)}
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))
    with av.open(str(path), "w", format="nut") as file:
        stream = file.add_stream("rawvideo", rate=360_000)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = _TICK
        for i, t in enumerate(times):
            gray = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            gray[:HEIGHT] = (190 if i in bright else 40) + (ramp + 3 * i) % 32
            frame = av.VideoFrame.from_ndarray(gray, format="yuv420p")
            frame.pts, frame.time_base = int(t / _TICK), _TICK
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _sound(events: list[tuple[int, float]], spec: Spec, rng: np.random.Generator) -> np.ndarray:
    track = (0.001 * rng.standard_normal(int(spec.seconds * spec.rate))).astype(np.float32)
    sound = chirp(spec.rate)
    for _, at in events:
        start = round(at * spec.rate)
        track[start : start + len(sound)] += sound[: max(0, len(track) - start)]
    return np.repeat(track[:, None], spec.channels, 1)


def _hole(spec: Spec) -> list[str]:
    if not spec.hole:
        return []
    start, length = spec.hole
    return ["-bsf:a", f"noise=drop='gte(pts*tb,{start})*lt(pts*tb,{start + length})'"]


H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=none", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "4", "-bf", "2")
AV1 = ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1")
VP8, VP9 = (("-c:v", name, "-deadline", "realtime", "-cpu-used", "8") for name in ("libvpx", "libvpx-vp9"))
_VIDEO: dict[str, tuple[str, ...]] = {
    "h264": (*H264, "-bf", "3", "-g", "60"),
    "h264_open_gop": (*H264, "-bf", "2", "-g", "48", "-x264-params", "open-gop=1"),
    "h264_no_b": (*H264, "-bf", "0", "-g", "250"),
    "hevc": (*HEVC, "-bf", "3", "-g", "60"),
    "mpeg2": MPEG2,
    "mpeg1": ("-c:v", "mpeg1video", "-q:v", "4", "-bf", "2"),
    "mpeg4": ("-c:v", "mpeg4", "-q:v", "4", "-bf", "2", "-g", "40"),
    "mpeg4_no_b": ("-c:v", "mpeg4", "-q:v", "4", "-g", "40"),
    "msmpeg4": ("-c:v", "msmpeg4", "-q:v", "4", "-g", "40"),
    "mjpeg": ("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p"),
    "prores": ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
    "ffv1": ("-c:v", "ffv1"),
    "qtrle": ("-c:v", "qtrle"),
    "flv1": ("-c:v", "flv", "-q:v", "4", "-g", "40"),
    "wmv2": ("-c:v", "wmv2", "-q:v", "4", "-g", "40"),
    "theora": ("-c:v", "libtheora", "-q:v", "5", "-g", "40"),
    "vp8": (*VP8, "-g", "60"),
    "vp9": (*VP9, "-g", "60"),
    "av1": (*AV1, "-g", "60"),
}
_AUDIO: dict[str, tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]] = {
    # encoder options, sample rates, channels
    "aac": (("-c:a", "aac"), (8000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000), (1, 2, 6, 8)),
    "mp3": (("-c:a", "libmp3lame", "-b:a", "96k"), (16_000, 22_050, 44_100, 48_000), (1, 2)),
    "mp3_vbr": (("-c:a", "libmp3lame", "-q:a", "4"), (22_050, 44_100, 48_000), (1, 2)),
    "mp2": (("-c:a", "mp2"), (32_000, 44_100, 48_000), (1, 2)),
    "ac3": (("-c:a", "ac3"), (32_000, 44_100, 48_000), (2, 6)),
    "alac": (("-c:a", "alac"), (44_100, 48_000), (1, 2)),
    "flac": (("-c:a", "flac"), (16_000, 44_100, 48_000, 96_000), (1, 2, 6)),
    "opus": (("-c:a", "libopus"), (48_000,), (1, 2, 6)),
    "vorbis": (("-c:a", "libvorbis"), (22_050, 44_100, 48_000), (1, 2, 6)),
    "pcm": (("-c:a", "pcm_s16le"), (8000, 11_025, 44_100, 48_000, 96_000), (1, 2, 6, 8)),
    "pcm_48k": (("-c:a", "pcm_s16le"), (48_000,), (1, 2)),
    "adpcm": (("-c:a", "adpcm_ms"), (22_050, 44_100), (1, 2)),
    "wma": (("-c:a", "wmav2"), (22_050, 44_100, 48_000), (1, 2)),
    "amr": (("-c:a", "libopencore_amrnb"), (8000,), (1,)),
}
NTSC = (Fraction(24_000, 1001), Fraction(30_000, 1001), Fraction(60_000, 1001))
BROADCAST = (*NTSC, *map(Fraction, (24, 25, 30, 50, 60)))
ANY = (*BROADCAST, *map(Fraction, (10, 12, 15, 120)))
_CONTAINERS: dict[str, tuple[str, str, tuple[Fraction, ...], bool]] = {
    # video codecs, audio codecs, frame rates, holds a variable rate
    "mp4": ("h264 h264_open_gop h264_no_b hevc mpeg4 av1 vp9", "aac mp3 mp3_vbr ac3 alac flac opus", ANY, True),
    "mov": ("h264 prores mjpeg qtrle hevc mpeg4", "pcm aac alac", ANY, True),
    "mkv": ("h264 h264_no_b hevc ffv1 mpeg2 vp9 mjpeg", "aac flac opus vorbis ac3 mp3 pcm", ANY, True),
    "webm": ("vp8 vp9 av1", "opus vorbis", ANY, True),
    "ts": ("h264 h264_open_gop mpeg2 hevc", "aac mp2 ac3 mp3 opus", BROADCAST, True),
    "mpg": ("mpeg2 mpeg1", "mp2 ac3 mp3", BROADCAST, False),
    "avi": ("mpeg4_no_b mpeg4 mjpeg msmpeg4 ffv1", "mp3 mp3_vbr pcm ac3 adpcm", ANY, False),
    "flv": ("flv1 h264", "mp3 aac", ANY, True),
    "ogv": ("theora", "vorbis opus flac", ANY, False),
    "wmv": ("wmv2 msmpeg4", "wma mp3", ANY, False),
    "mxf": ("mpeg2 h264_no_b", "pcm_48k", BROADCAST, False),
    "3gp": ("h264 mpeg4_no_b", "aac amr", ANY, True),
}
CONTAINERS = tuple(_CONTAINERS)


Pick = Callable[[Sequence[Any]], Any]
"""Chooses one of several: a random generator's choice, or hypothesis's."""


def draw(pick: Pick, container: str | None = None) -> Spec:
    """One combination that can be written; `pick` makes every choice, the plainest option comes first."""
    container = container or pick(CONTAINERS)
    videos, audios, rates, variable = _CONTAINERS[container]
    video, audio = pick(videos.split()), pick(audios.split())
    options, sample_rates, channels = _AUDIO[audio]
    if audio == "mp3" and container == "flv":
        sample_rates = (22_050, 44_100)
    if container == "ts":
        channels = tuple(n for n in channels if n <= 6)
    fields = pick(_FIELDS.get((container, video), [""]))
    paced = variable and not fields and video not in {"mpeg2", "mpeg1", "av1"}
    pace = pick(["even", "even", "even", "jitter", "drop", "switch", "screen"]) if paced else "even"
    fps = pick([Fraction(50), NTSC[2]] if fields else [rate for rate in rates if pace == "even" or rate <= 60])
    video_at, audio_at = pick([(0.0, 0.0), (0.0, 0.0), (0.083, 0.0), (0.5, 0.0), (0.0, 0.083), (0.0, 1.217)])
    hole = (pick([1.3, 2.1, 4.4]), pick([0.02, 0.045, 0.2, 0.7])) if pick([False] * 4 + [True]) else None
    return Spec(
        container=container,
        video=(*_VIDEO[video], *(("-flags", "+ildct+ilme") if fields else ())),
        audio=options,
        fps=fps,
        rate=pick(sample_rates),
        channels=pick(channels),
        pace=pace,
        hole=None if container in {"avi", "mxf", "ogv"} else hole,
        video_at=video_at,
        audio_at=audio_at,
        mux=pick(_MUX.get(container, [()])),
        remux=(("-ss", pick(["0.611", "1.303", "2.048"])), ())
        if pick(_FROM_THE_MIDDLE.get(container, [False]))
        else None,
        audio_from=pick([0.0, 0.0, 0.0, 0.61]),
        audio_to=pick([None] * 6 + [5.5]),
        tracks=pick([1] * 6 + [2]) if container in {"mp4", "mov", "mkv", "ts"} else 1,
        fields=fields,
        seconds=pick([7.0, 7.0, 7.0, 7.0, 26.0]),
        seed=pick(range(1 << 16)),
    )


_FIELDS = {
    (container, video): ["", "", "tff", "bff"]
    for container, video in (("ts", "mpeg2"), ("mpg", "mpeg2"), ("mxf", "mpeg2"), ("ts", "h264"), ("mov", "prores"))
}
_SHIFTED = ("-output_ts_offset", "-0.3", "-avoid_negative_ts", "disabled")
_IN_MP4: list[tuple[str, ...]] = [
    (), ("-movflags", "+faststart"), ("-use_editlist", "0"), ("-movflags", "+frag_keyframe+empty_moov"), _SHIFTED,
]  # fmt: skip
_LATE: list[tuple[str, ...]] = [(), (), ("-output_ts_offset", "0.33"), ("-output_ts_offset", "4000")]
_MUX = {
    **dict.fromkeys(("mp4", "mov", "3gp"), _IN_MP4),
    **dict.fromkeys(("mkv", "webm"), _LATE),
    "ts": [*_LATE, ("-output_ts_offset", "95443.1")],  # the clock of 33 bits wraps after 0.6 s
}
_FROM_THE_MIDDLE = {container: [False, False, True] for container in ("mp4", "mov", "mkv", "ts", "3gp")}


def specs(count: int, seed: int) -> Iterator[Spec]:
    """`count` specs that go round the containers; the same for the same seed."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        yield draw(lambda options: options[int(rng.integers(len(options)))], CONTAINERS[i % len(CONTAINERS)])
