"""Sound whose rate or channels change on the way, made steady before it meets filters that remember.

ffmpeg builds a filter graph anew whenever what it is fed changes shape, as broadcast sound does between stereo and 5.1.
Filters that pad, count and fill holes then start again, and what follows comes late. So decoded sound passes a graph
without memory into raw samples, and a decoder of those (ffmpeg's loopback) feeds the graph that cuts.
"""

import re
from typing import Any

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
_MARK = re.compile(r"\[([\w:]+)\]steady=(\d+):(\d+):(-?[\d.]+)\[(\w+)\];")


def steady(sound: Any, rate: int, channels: int, end_s: float) -> Any:
    """Sound as float samples at `rate` Hz and of `channels` channels throughout, read up to `end_s` of its own clock.

    A mark in an ffmpeg-python graph, which `loop_back` turns into options when the graph is compiled.
    """
    return sound.filter("steady", rate, channels, f"{end_s:.6f}")


def loop_back(graph: str) -> tuple[list[str], str]:
    """(options that go before a filter graph, the graph that reads what they make) of a graph with a mark in it."""
    mark = _MARK.search(graph)
    if mark is None:
        return [], graph
    source, rate, channels, end_s, label = mark.groups()
    layouts = _LAYOUTS.get(int(channels), f"{channels}C")
    shape = f"aformat=sample_fmts=flt:sample_rates={rate}:channel_layouts={layouts}"
    raw = ["-map", source, "-af", shape, "-c:a", "pcm_f32le", "-to", end_s, "-f", "null", "-", "-dec", "0:0"]
    return raw, graph.replace(mark[0], "").replace(f"[{label}]", "[dec:0]")
