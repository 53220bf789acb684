"""Tags with times, out of probabilities that are given."""

import numpy as np
import pytest

from filters.audio import yamnet
from filters.audio.heard_events import events


def scores(patches: int, **heard: dict[int, float]) -> np.ndarray:
    """Probabilities (patches, 521): of each label in these patches, else 0."""
    found = np.zeros((patches, 521), np.float32)
    for label, at in heard.items():
        for patch, chance in at.items():
            found[patch, yamnet.labels().index(label)] = chance
    return found


def test_a_short_sound_has_its_time_and_a_faint_one_is_left_out() -> None:
    found = events(scores(20, Dog={5: 0.8, 6: 0.5, 12: 0.7, 13: 0.3}, Siren={3: 0.29}), 10.0)
    assert [event["label"] for event in found] == ["Dog"] and found[0]["peak"] == pytest.approx(0.8)
    spans = [(span["start_s"], span["end_s"]) for span in found[0]["spans"]]
    assert spans == [pytest.approx((2.64, 3.60)), pytest.approx((6.00, 6.48))], "half a hop around the patches' middles"


def test_events_come_in_the_order_in_which_they_begin_and_reach_to_the_ends() -> None:
    found = events(scores(20, Siren=dict.fromkeys(range(20), 0.4), Dog={0: 0.9}, Bark={19: 0.9}), 10.0)
    assert [event["label"] for event in found] == ["Dog", "Siren", "Bark"]
    (whole,) = found[1]["spans"]
    assert (whole["start_s"], whole["end_s"]) == (0.0, 10.0) and found[2]["spans"][0]["end_s"] == 10.0


@pytest.mark.parametrize("seconds", [0.05, 0.975, 1.2])
def test_a_clip_of_a_patch_or_less_has_one_span(seconds: float) -> None:
    (event,) = events(scores(1, Dog={0: 0.6}), seconds)
    assert event["spans"] == [{"start_s": 0.0, "end_s": seconds}]
    assert events(scores(1), seconds) == []


def test_ten_at_most_the_surest() -> None:
    labels = [label for label in yamnet.labels() if label.isalpha()][:14]
    found = events(scores(4, **{label: {1: 0.9 - 0.02 * n} for n, label in enumerate(labels)}), 2.0)
    assert [event["label"] for event in found] == labels[:10]
