"""How long ffmpeg may take before it counts as hung: by how much there is to do, on a slow core that others share."""

from media.clip import Clip

LOOK_S, RENDER_S, ENCODE_S = 600.0, 120.0, 300.0
_REAL_TIMES = 4
_LOOKED_AT = 25e6
_RENDERED = 5e6


def looking_s(duration_s: float, pixels: float) -> float:
    """Seconds for one look at a whole source: its length in seconds, and pixels of all its frames together.

    Ten minutes, four times its length, and a second for each 25 million pixels: 6 times real time at 1080p25, 24 times
    at 2160p60. Hours of footage take hours; a hang does not.
    """
    return LOOK_S + _REAL_TIMES * duration_s + pixels / _LOOKED_AT


def working_s(clip: Clip, least_s: float) -> float:
    """Seconds for rendering or encoding a clip: `least_s`, and a second for each 5 million pixels."""
    return least_s + clip.frames * clip.width * clip.height / _RENDERED
