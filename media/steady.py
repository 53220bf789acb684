"""Sound whose rate or channels change on the way, made steady by an ffmpeg of its own.

ffmpeg builds a filter graph anew whenever what it is fed changes shape, as broadcast sound does between stereo and 5.1.
Filters that pad, count and fill holes then start again, and what follows comes late. So the graph that cuts refuses
such sound, and gets it a second time through a pipe, from a process whose filters remember nothing.
(ffmpeg's loopback decoders could do it in one process; 9.0.2 deadlocks on them in one run of ten.)
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from media import cut, ffmpeg
from media.child import Child, Limits
from media.clip import Clip

_LAYOUTS = {
    1: "mono",
    2: "stereo|downmix|binaural",
    3: "2.1|3.0|3.0(back)",
    4: "4.0|quad|quad(side)|3.1",
    5: "5.0|5.0(side)|4.1",
    6: "5.1|5.1(side)|6.0|6.0(front)|hexagonal",
    7: "6.1|6.1(back)|6.1(front)|7.0|7.0(front)",
    8: "7.1|7.1(wide)|7.1(wide-side)|octagonal",
}
"""Layouts of so many channels, which stay as they are; anything else becomes the first."""


@contextmanager
def steady_pipe(clip: Clip, back_s: float | None, limits: Limits) -> Iterator[int]:
    """The reading end of a pipe of the clip's sound at its own rate and channels throughout, placed as by `cut.placed`.

    Its container is NUT. Raises MediaError as `media.ffmpeg.run`.
    """
    reader, writer = os.pipe()
    try:
        shape = {"sample_rates": clip.audio_rate, "channel_layouts": _LAYOUTS.get(clip.audio_channels, "")}
        sound = cut.source_sound(clip, back_s).filter(
            "aformat", sample_fmts="flt", **{name: value for name, value in shape.items() if value}
        )
        node = cut.placed(sound, clip).output(f"pipe:{writer}", f="nut", acodec="pcm_f32le")
        with Child(ffmpeg.compile_argv(node), limits, failed="media:ffmpeg_failed", keep=[writer]):
            os.close(writer)
            writer = -1
            yield reader
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
