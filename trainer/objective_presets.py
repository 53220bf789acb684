"""How others balance the two media: modality weights and sigmas, as published, for `objective.preset`."""

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "klear": {},
    "mova": {
        "audio_weight": 0.2,
        "coupling": "independent",
        "sigma": {"video": {"shift": 5.0}, "audio": {"shift": 1.0}},
    },
    "ovi": {"video_weight": 0.85, "audio_weight": 0.15},
}
"""Keys of `objective` that differ from the defaults.

klear: the paper, equations 2 and 7-9: an unweighted sum, one t ~ U(0, 1) for both media.
mova: arXiv 2602.08794, its training recipe (table 7): audio at 0.2; t_v and t_a drawn apart, through sigma shifts of 5
    for video and 1 for audio. The audio's rises to 5 later in its training: --set objective.sigma.audio.shift=5.
ovi: as its authors describe training: 0.85 and 0.15, one t with noise of its own for each medium. How t is drawn is not
    published (the shift of 5 in its code is inference's), so sigma stays uniform.
"""


def under(given: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with what it lacks taken from `base`, mappings inside mappings too."""
    filled = dict(base) | dict(given)
    for name, value in base.items():
        own = given.get(name)
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            filled[name] = under(own, value)
    return filled
