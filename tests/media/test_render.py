"""Views: their shapes, what they show, and that a seek changes nothing."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import ConfigError, MediaError
from media import ffmpeg
from media.render import render_views
from media.views import AUDIO_16K, AUDIO_NATIVE, FRAMES, LUMA_25, AudioView, VideoView
from media.whole import whole_clip

SMALL = VideoView("small", box=(64, 64), pixels="rgb24")


def test_shapes_times_and_rates(flashes) -> None:  # type: ignore[no-untyped-def]
    clip = replace(whole_clip(flashes.path), start_frame=9, frames=63)
    square = VideoView("square", fps=3, box=(48, 48), fit="crop", pixels="rgb24")
    stereo = AudioView("stereo", rate=44_100, channels=2)
    wanted = [LUMA_25, FRAMES, SMALL, square, AUDIO_16K, AUDIO_NATIVE, stereo]
    with render_views(clip, wanted) as views:
        assert views[LUMA_25].shape == (63, 144, 192) and views[LUMA_25].dtype == np.uint8
        assert views[FRAMES].shape == (8, 96, 128, 3)
        assert views[SMALL].shape == (63, 48, 64, 3)
        assert views[square].shape == (8, 48, 48, 3)
        assert views[AUDIO_16K].shape == (40_320,) and views[AUDIO_16K].dtype == np.float32
        assert views[AUDIO_NATIVE].shape == (120_960,)
        assert views[stereo].shape == (111_132, 2)
        assert np.array_equal(views[stereo][:, 0], views[stereo][:, 1])
        assert (views.rates[AUDIO_NATIVE], views.rates[stereo]) == (48_000, 44_100)
        assert views.times[LUMA_25][1] == 0.04 and len(views.times[FRAMES]) == 8
        assert views.times[square].tolist() == [i / 3 for i in range(8)]
        with pytest.raises(ValueError, match="read-only"):
            views[LUMA_25][0] = 0
        with pytest.raises(KeyError):
            views[VideoView("never asked for")]


def test_shrinking_never_enlarges(flashes) -> None:  # type: ignore[no-untyped-def]
    clip = replace(whole_clip(flashes.path), frames=4)  # 128 x 96
    sizes = {box: VideoView(f"box {box}", box=(box, box), fit="shrink") for box in (64, 96, 97, 200)}
    with render_views(clip, list(sizes.values())) as views:
        shapes = {box: views[view].shape[1:] for box, view in sizes.items()}
    assert shapes == {64: (64, 85), 96: (96, 128), 97: (96, 128), 200: (96, 128)}


def test_luma_has_full_range(make_flashes) -> None:  # type: ignore[no-untyped-def]
    options = ["-vf", "lutyuv=y='if(gt(val,120),235,16)'", "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p"]
    with render_views(
        whole_clip(make_flashes("range.mkv", options=[*options, "-c:a", "flac"]).path), [LUMA_25]
    ) as views:
        assert (views[LUMA_25].min(), views[LUMA_25].max()) == (0, 255)


def test_stretches_are_the_ends_of_each(flashes) -> None:  # type: ignore[no-untyped-def]
    clip = whole_clip(flashes.path)
    every, pairs = VideoView("every", box=(64, 64)), VideoView("pairs", pixels="gray", stretches=(3, 2))
    with render_views(clip, [every, pairs]) as views:
        assert views.times[pairs].tolist() == [0.0, 1.96, 3.0, 4.96, 6.0, 7.96] and views[pairs].shape == (6, 96, 128)
        bright = views[every].mean((1, 2))[[0, 49, 75, 124, 150, 199]]
        assert np.abs(views[pairs].mean((1, 2)) - bright).max() < 2
    short = replace(clip, frames=2)
    with render_views(short, [pairs]) as views:
        assert views[pairs].shape == (2, 96, 128)
    with pytest.raises(ConfigError, match="full size"), render_views(clip, [replace(pairs, stretches=(9, 2))]):
        pass


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.mpg"])
def test_a_seek_changes_nothing(make_flashes, name: str) -> None:  # type: ignore[no-untyped-def]
    video = ["-c:v", "mpeg2video", "-q:v", "3"] if name.endswith("mpg") else ["-c:v", "libx264", "-preset", "veryfast"]
    made = make_flashes(
        name, seconds=20, options=[*video, "-bf", "2", "-g", "120", "-pix_fmt", "yuv420p", "-c:a", "mp2"]
    )
    whole = whole_clip(made.path)
    native = AudioView("sound", channels=1)
    with render_views(whole, [SMALL, native]) as views:
        frames, sound = views[SMALL], views[native]
        for start in (333, 401, 450):
            with render_views(replace(whole, start_frame=start, frames=50), [SMALL, native]) as part:
                assert np.array_equal(part[SMALL], frames[start : start + 50])
                there = sound[start * 1920 : (start + 50) * 1920]
                assert np.abs(part[native][4800:] - there[4800:]).max() < 2e-3


def test_sound_is_padded_with_silence(make_flashes) -> None:  # type: ignore[no-untyped-def]
    video = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    late = make_flashes("late.mkv", options=[*video, "-af", "atrim=start=2:end=4", "-c:a", "pcm_s16le"])
    native = AudioView("sound", channels=1)
    with render_views(whole_clip(late.path), [native]) as views:
        heard = np.flatnonzero(views[native])
        assert views[native].shape == (384_000,)
        assert heard[0] >= 96_000 and heard[-1] < 192_000
    with render_views(replace(whole_clip(late.path), start_frame=150, frames=50), [native, SMALL]) as views:
        assert views[native].shape == (96_000,) and not views[native].any()


def test_a_clip_longer_than_its_source_is_an_error(flashes) -> None:  # type: ignore[no-untyped-def]
    clip = replace(whole_clip(flashes.path), start_frame=190, frames=11)
    with pytest.raises(MediaError) as caught, render_views(clip, [LUMA_25]):
        pass
    assert caught.value.code == "media:short" and "10 of the 11" in caught.value.message


def test_views_that_cannot_be(flashes) -> None:  # type: ignore[no-untyped-def]
    clip = whole_clip(flashes.path)
    for view in (VideoView("all of it"), VideoView("many", max_frames=17)):
        with pytest.raises(ConfigError), render_views(clip, [view]):
            pass
    with pytest.raises(MediaError) as caught, render_views(replace(clip, audio_rate=0), [AUDIO_16K]):
        pass
    assert caught.value.code == "media:no_audio"


def test_limits_hold(flashes) -> None:  # type: ignore[no-untyped-def]
    clip = whole_clip(flashes.path)
    for options, code in (({"timeout_s": 0.01}, "media:timeout"), ({"max_rss": 1 << 20}, "media:memory")):
        with pytest.raises(MediaError) as caught, render_views(clip, [LUMA_25], **options):  # type: ignore[arg-type]
            pass
        assert caught.value.code == code


def test_rotation_is_undone(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    turned, copy = tmp_path / "turned.mp4", ["-i", str(flashes.path), "-c", "copy"]
    quiet = [ffmpeg.binary(), "-y", "-nostdin", "-loglevel", "error"]
    subprocess.run([*quiet, "-display_rotation:v:0", "90", *copy, str(turned)], check=True)
    with render_views(whole_clip(turned), [FRAMES]) as views, render_views(whole_clip(flashes.path), [FRAMES]) as flat:
        assert np.array_equal(views[FRAMES], np.rot90(flat[FRAMES], 1, (1, 2)))


def test_variable_rate_lands_on_the_grid(make_flashes) -> None:  # type: ignore[no-untyped-def]
    slower = "setpts='if(lt(N,90),N/30,3+(N-90)/12)/TB'"
    options = ["-vf", slower, "-fps_mode", "vfr", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "flac"]
    made = make_flashes("vfr.mkv", fps=30, seconds=5, options=options)
    clip = whole_clip(made.path)
    with render_views(clip, [SMALL]) as views:
        bright = views[SMALL][:, 20:30, 25:40].mean((1, 2, 3)) > 130
    assert clip.fps == 30
    starts = np.flatnonzero(bright[1:] & ~bright[:-1]) + 1
    expected = [round(30 * (f / 30 if f < 90 else 3 + (f - 90) / 12)) for f in made.flash_frames]
    assert np.abs(starts - np.array(expected)).max() <= 1


def test_nearest_frame_at_other_rates(make_flashes) -> None:  # type: ignore[no-untyped-def]
    options = ["-vf", "format=gray,geq=lum='mod(N,240)+8':cb=128:cr=128", "-c:v", "ffv1", "-c:a", "flac"]
    clip = whole_clip(make_flashes("count.mkv", fps=24, options=options).path)
    slow, fast = VideoView("slow", fps=5, box=(64, 48)), VideoView("fast", fps=60, box=(64, 48))
    with render_views(replace(clip, start_frame=13, frames=96), [slow, fast]) as views:
        for view, rate in ((slow, 5), (fast, 60)):
            shown = views[view][:, 24, 32].astype(float) - views[view][0, 24, 32]
            exact = np.array([min(95, Fraction(24 * i, rate)) for i in range(len(shown))], float)
            assert np.abs(shown - exact).max() <= 0.5, view.name


@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "ffconcat"])
def test_a_playlist_opens_nothing(flashes, tmp_path: Path, suffix: str) -> None:  # type: ignore[no-untyped-def]
    clip, url = whole_clip(flashes.path), flashes.path.absolute()
    lists = {"m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:8,\nfile://{url}\n#EXT-X-ENDLIST\n"}
    lists |= {"ffconcat": f"ffconcat version 1.0\nfile '{url}'\n", "mp4": lists["m3u8"]}
    (tmp_path / f"list.{suffix}").write_text(lists[suffix])
    with (
        pytest.raises(MediaError) as caught,
        render_views(replace(clip, path=str(tmp_path / f"list.{suffix}")), [SMALL]),
    ):
        pass
    assert caught.value.code == "media:ffmpeg_failed"
    assert " @ 0x" not in caught.value.message


def test_nothing_is_left_behind(flashes) -> None:  # type: ignore[no-untyped-def]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with render_views(whole_clip(flashes.path), [SMALL, AUDIO_16K]) as views:
        frames = views[SMALL]
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 2  # one a mapping
    assert frames.mean() > 0  # still mapped
    del views, frames
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
