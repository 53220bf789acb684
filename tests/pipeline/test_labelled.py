"""Labelled sound for the self-check: what is cut out of what, under which name, and what is told of the routing."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from filters.capability import CLASSES
from pipeline.selfcheck import drawn_sounds, labelled, routing

RATE = labelled.RATE


def write(folder: Path, label: str, name: str, seconds: float) -> None:
    (folder / "labelled" / label).mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * 44_100), 2))
    soundfile.write(folder / "labelled" / label / name, noise, 44_100)


def own(media: Path | None, origin: str) -> list[labelled.Piece]:
    return [piece for piece in labelled.recorded(media) if piece.origin.startswith(origin)]


def test_a_users_recordings_are_pieces(tmp_path: Path) -> None:
    write(tmp_path, "sound", "door.wav", 9.0)
    write(tmp_path, "singing", "aria.flac", 60.0)
    door, aria = own(tmp_path, "door"), own(tmp_path, "aria")
    assert [(piece.label, len(piece.sound)) for piece in door] == [("sound", 9 * RATE)]
    assert [len(piece.sound) / RATE for piece in aria] == [2.5, 5.0, 8.0, 2.5, 5.0, 8.0]
    assert {piece.label for piece in aria} == {"singing"}


def test_what_packages_bring_has_speech_music_and_singing() -> None:
    found = list(labelled.recorded(None))
    assert {piece.label for piece in found} == {"single_speech", "multi_speech", "music", "singing"}
    assert all(1.9 * RATE <= len(piece.sound) <= 8 * RATE and piece.sound.dtype == np.float32 for piece in found)


def test_mixes_hold_their_ratio(media_dir: Path) -> None:
    found = list(labelled.mixed(media_dir))
    assert {piece.label for piece in found} == {"single_speech", "multi_speech"}
    voice = labelled._level(labelled.heard(next(iter(labelled.readers(media_dir).values()))[0]))[: 8 * RATE]
    first = [piece.sound for piece in found if piece.label == "single_speech"][:2]
    level = [10 * np.log10(np.mean((sound - voice) ** 2) / np.mean(voice**2)) for sound in first]
    assert level == pytest.approx([-10, 0], abs=0.5)


def test_drawn_sounds_are_of_their_own_each() -> None:
    found = list(drawn_sounds.drawn())
    assert len(found) == len(drawn_sounds.KINDS) * len(drawn_sounds.SEEDS) and {p.label for p in found} == {"sound"}
    assert all(np.abs(p.sound).max() == pytest.approx(0.5) and len(p.sound) == 5 * RATE for p in found)
    assert len({p.sound.tobytes() for p in found}) == len(found)


def test_routing_tells_precision_recall_and_confidence() -> None:
    routed = [("music", "music", 0.9), ("sound", "music", 0.95), ("single_speech", "multi_speech", 0.1)]
    accuracy, *classes = routing._scored("these", routed, 0.5)
    third = pytest.approx(1 / 3)  # of the pieces, and of the classes that they are of
    assert accuracy.figures == {"accuracy": third, "mean recall": third} and accuracy.broken()
    figures = {finding.case: finding.figures for finding in classes}
    assert figures["these: music"] == {"precision": 0.5, "recall": 1.0}
    assert figures["these: sound"] == {"precision": None, "recall": 0.0}
    sure = {finding.case: (finding.count, finding.figures["accuracy"]) for finding in routing._reliability("x", routed)}
    assert sure == {"x, confidence 0.0 to 0.2": (1, 1.0), "x, confidence 0.8 to 1.0": (2, 0.5)}, (
        "one voice or many: speech"
    )


def test_a_piece_goes_through_the_stages() -> None:
    noise = next(drawn_sounds.drawn())
    truth, found, sure = routing.route(noise)
    assert truth == found == "sound" and sure > 0.5 and found in CLASSES


def test_what_is_not_at_hand_is_named(tmp_path: Path) -> None:
    assert any("talking heads" in text for text in routing.not_at_hand(None))
    write(tmp_path, "sound", "door.wav", 3.0)
    told = routing.not_at_hand(tmp_path)
    assert any("labelled/singing/" in text for text in told) and not any("labelled/sound/" in text for text in told)
