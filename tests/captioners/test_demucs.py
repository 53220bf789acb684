"""Demucs from its published formats: tiny random models through the real loader, beside the authors' own code."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from captioners.separate import demucs_folder, splitters
from captioners.separate.demucs import RATE, Demucs
from captioners.separate.stems import MONO, STAGE, STEREO
from captioners.transcribe.whisperx import WhisperX
from manifests.errors import BackendAbsent, ConfigError
from media.clip import Clip
from media.views import AUDIO_16K, Views

SOURCES = ["drums", "bass", "other", "vocals"]
SEGMENT = Fraction(39, 50)
SETTINGS: dict[str, Any] = {"channels": 4, "t_layers": 3, "t_heads": 2, "t_hidden_scale": 1.0, "dconv_comp": 4}


def tiny(seed: int = 0, sources: list[str] = SOURCES, **settings: Any) -> Any:
    """A model of 0.1 million parameters; published windows of 7.8 s are 0.78 s here."""
    import torch
    from demucs.htdemucs import HTDemucs

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return HTDemucs(sources, **{**SETTINGS, "segment": SEGMENT, **settings}).eval()


def packed(made: Any) -> dict[str, Any]:
    """What is pickled: class, arguments, halved weights, and settings of the training, numpy's numbers among them."""
    args, kwargs = made._init_args_kwargs
    state = {name: value.half() for name, value in made.state_dict().items()}
    training = {"epochs": 360, "best": np.float64(5.9), "segment": SEGMENT, "name": "tiny"}
    return {"klass": type(made), "args": args, "kwargs": kwargs, "state": state, "training_args": training}


def write_pickle(folder: Path, sign: str, content: Any) -> Path:
    """`<sign>-<checksum>.th`, with numpy under the name that it had when the models were published."""
    import torch

    torch.save(content, folder / "new.th")
    with zipfile.ZipFile(folder / "new.th") as new, zipfile.ZipFile(folder / "old.th", "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    (folder / "new.th").unlink()
    checksum = hashlib.sha256((folder / "old.th").read_bytes()).hexdigest()[:8]
    return (folder / "old.th").rename(folder / f"{sign}-{checksum}.th")


def write_safetensors(folder: Path, sign: str, made: Any, klass: str = "demucs.htdemucs.HTDemucs") -> Path:
    """`<sign>.safetensors` with class and arguments as JSON in its metadata."""
    from safetensors.torch import save_file

    args, kwargs = made._init_args_kwargs
    fraction = {"_type": "fraction", "numerator": SEGMENT.numerator, "denominator": SEGMENT.denominator}
    said = {"klass": klass, "args": json.dumps(args), "kwargs": json.dumps({**kwargs, "segment": fraction})}
    path = folder / f"{sign}.safetensors"
    save_file({name: value.contiguous() for name, value in made.state_dict().items()}, path, metadata=said)
    return path


HEARD = {"audio.classes": {"audio_class": "speech", "speech_ratio": 0.9}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`htdemucs` is one model, `htdemucs_ft` a bag of which one votes on vocals."""
    made = tmp_path_factory.mktemp("demucs")
    write_pickle(made, "955717e8", packed(tiny(0)))
    for seed, sign in enumerate(["f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"], 1):
        write_pickle(made, sign, packed(tiny(seed)))
    (made / "htdemucs.yaml").write_text("models: ['955717e8']\n")
    votes = "".join(f"  {[float(a == b) for b in range(4)]},\n" for a in range(4))
    (made / "htdemucs_ft.yaml").write_text(
        f"models: ['f7e0c4bc', 'd12395a8', '92cfc3b6', '04573f0d']\nweights: [\n{votes}]\n"
    )
    return made


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.01, 0.1, shape).astype(np.float32)


def authors(folder: Path, name: str, mix: np.ndarray) -> np.ndarray:
    """Vocals (n, 2) as the command `demucs --shifts 0` makes them, by the authors' loader and the authors' windows."""
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    model, sound = get_model(name, repo=folder), torch.from_numpy(mix.T.copy())
    mono = sound.mean(0)
    even = (sound - mono.mean()) / (mono.std() + 1e-8)
    found = apply_model(model, even[None], shifts=0, overlap=0.25)[0][model.sources.index("vocals")]
    return (found * (mono.std() + 1e-8) + mono.mean()).numpy().T


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft", "955717e8"])
@pytest.mark.parametrize("samples", [500, 20_000, 34_398, 34_399, 100_001])
@pytest.mark.parametrize("stereo", ["wide", "opposite"])
def test_vocals_are_those_of_the_authors_code(folder: Path, name: str, samples: int, stereo: str) -> None:
    mix = noise(samples, 2) if stereo == "wide" else noise(samples, 1) * np.float32([1, -1])
    voice, background = Demucs(model=str(folder), name=name).split(mix, RATE)
    expected = authors(folder, name, mix)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(voice, expected, atol=2e-7)
    np.testing.assert_array_equal(background, mix - voice)


def test_a_bag_runs_only_the_models_that_vote_on_vocals(folder: Path) -> None:
    assert len(demucs_folder.load(demucs_folder.find(folder, "htdemucs_ft"))) == 1


def test_the_hubs_format_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    write_safetensors(tmp_path, "955717e8", tiny(0).half().float())
    (tmp_path / "htdemucs.yaml").write_text("models: ['955717e8']\nsegment: 0.5\n")
    (found, share), *_ = demucs_folder.load(demucs_folder.find(tmp_path, "htdemucs"))
    (expected, _), *_ = demucs_folder.load(demucs_folder.find(folder, "htdemucs"))
    assert share == 1.0 and found.segment == 0.5 and expected.segment == SEGMENT
    assert all(torch.equal(a, b) for a, b in zip(found.state_dict().values(), expected.state_dict().values()))


def test_clips_together_are_as_clips_alone(folder: Path, clip: Clip) -> None:
    """Windows of clips of any length share a batch; a clip without voice is left out."""
    mixes = [
        noise(60_000, 2, seed=1),
        noise(400, 2, seed=2),
        noise(45_000, 2, seed=3),
        np.zeros((30_000, 2), np.float32),
    ]
    silent = {"audio.classes": {"audio_class": "music", "speech_ratio": 0.0, "singing_ratio": 0.0}}
    given = [(clip, Views({STEREO: mix}), silent if len(mix) == 400 else HEARD) for mix in mixes]
    stage = STAGE(backend="demucs", model=str(folder), keep=True, at_once=3)
    together, alone = stage.many(given), [stage(*one) for one in given]
    for a, b in zip(together, alone):
        files = a.pop("_files", {}), b.pop("_files", {})
        assert a == {k: pytest.approx(v, abs=1e-4) if isinstance(v, float) else v for k, v in b.items()}
        assert files[0].keys() == files[1].keys()
    assert together[1].keys() == {"background_db", "empty"} and together[1]["empty"] == ["voice"]
    assert together[3]["empty"] == ["voice", "background"] and together[3]["voice_db"] == -120.0


def test_the_same_mix_gives_the_same_bytes_and_keeps_both_channels(folder: Path, clip: Clip) -> None:
    mix = np.stack([noise(RATE), np.zeros(RATE, np.float32)], 1)
    stage = STAGE(backend="demucs", model=str(folder), keep=True, floor_db=-100.0)
    assert stage.VIEWS == (STEREO,) and STAGE().VIEWS == (MONO,) and stage.BACKEND == "htdemucs (demucs 4.1.0)"
    first, second = (stage(clip, Views({STEREO: mix}), HEARD) for _ in range(2))
    assert first == second
    stems = [soundfile.read(io.BytesIO(first["_files"][f"{name}.flac"]))[0] for name in ("voice", "background")]
    assert [stem.shape for stem in stems] == [(RATE, 2)] * 2
    np.testing.assert_allclose(sum(stems), mix, atol=2 / 2**15)


@pytest.mark.parametrize(
    ("samples", "rate"), [(16_001, 16_000), (48_000, 48_000), (100, 16_000), (1, 16_000), (0, 44_100)]
)
def test_one_channel_at_any_rate(folder: Path, samples: int, rate: int) -> None:
    """As transcription asks: mono, resampled to the model and back; nothing of the mix is lost between the stems."""
    mix = noise(samples)
    voice, background = splitters.split("demucs", mix, rate, model=str(folder))
    assert voice.dtype == background.dtype == np.float32 and voice.shape == background.shape == mix.shape
    np.testing.assert_allclose(voice + background, mix, atol=1e-7)


def test_digest_follows_the_files_that_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEAR_WEIGHTS", str(folder.parent))
    (folder.parent / "demucs").exists() or (folder.parent / "demucs").symlink_to(folder)
    digests = [STAGE(backend="demucs", **s).digest() for s in ({}, {"model": str(folder)}, {"name": "htdemucs_ft"})]
    assert digests[0] == digests[1] != digests[2] and {len(d) for d in digests} == {64}


def test_absent_weights_say_what_where_and_under_which_licence(folder: Path, tmp_path: Path) -> None:
    for where, name in [(tmp_path / "none", "htdemucs"), (folder, "htdemucs_6s")]:
        with pytest.raises(BackendAbsent) as caught:
            STAGE(backend="demucs", model=str(where), name=name).digest()
        assert caught.value.code == "backend:weights"
        assert all(part in caught.value.message for part in (str(where), f"no {name}", "MIT", "fbaipublicfiles"))
    (tmp_path / "htdemucs.yaml").write_text("models: ['955717e8']")
    with pytest.raises(BackendAbsent, match="no 955717e8"):
        STAGE(backend="demucs", model=str(tmp_path)).digest()


def test_transcription_listens_to_the_demucs_that_it_is_given(folder: Path) -> None:
    given = {"backend": "demucs", "model": str(folder)}
    stage, mix = WhisperX(stem="voice", separator=given), noise(20_000)
    name, heard = stage._listen_to(Views({AUDIO_16K: mix}), {}, silent=False)
    np.testing.assert_array_equal(heard, Demucs(model=str(folder)).split(mix, 16_000)[0])
    assert name == "voice" and "separator MIT (demucs" in stage.LICENCE


def test_another_separator_is_another_recipe_unless_only_the_mix_is_heard(folder: Path, tmp_path: Path) -> None:
    given = [{"backend": "demucs", "model": str(folder), "name": n} for n in ("htdemucs", "htdemucs_ft")]
    separators: list[Any] = ["hpss_residual", {"backend": "hpss_residual"}, *given]
    found = [WhisperX(separator=separator).digest() for separator in separators]
    assert found[0] == found[1] and len(set(found)) == 3
    absent = {"backend": "demucs", "model": str(tmp_path)}
    with pytest.raises(BackendAbsent, match="no htdemucs"):
        WhisperX(separator=absent).digest()
    unheard = WhisperX(separator=absent, stem="mix")
    assert unheard.digest() == WhisperX(stem="mix").digest() and "separator" not in unheard.LICENCE


@pytest.mark.parametrize("separator", ["spleeter", {"model": "x"}, {"backend": "hpss_residual", "model": "x"}])
def test_transcription_refuses_separators_that_there_are_not(separator: Any) -> None:
    with pytest.raises(ConfigError, match="separator"):
        WhisperX(separator=separator)


class Harm:
    """What a hostile pickle would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def spoiled(folder: Path, kind: str) -> None:
    """A file `bad….*` that is no model of HTDemucs, in one way or another."""
    from demucs.hdemucs import HDemucs

    good = packed(tiny())
    if kind == "damaged":
        path = write_pickle(folder, "bad", good)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "text":
        (folder / "bad.th").write_text("<html>not found</html>")
    elif kind == "command":
        write_safetensors(folder, "bad", tiny(), klass="os.system")
    elif kind == "four channels":
        write_pickle(folder, "bad", packed(tiny(audio_channels=4)))
    elif kind == "no vocals":
        write_pickle(folder, "bad", packed(tiny(sources=["drums", "bass"])))
    else:
        other = {
            "state dict": good["state"],
            "hostile": {**good, "training_args": Harm(folder / "harm")},
            "another class": {**good, "klass": HDemucs},
            "another size": {**good, "kwargs": {**good["kwargs"], "channels": 8}},
            "quantised": {**good, "state": {"__quantized": True}},
        }
        write_pickle(folder, "bad", other[kind])


@pytest.mark.parametrize(
    "kind",
    ["damaged", "text", "command", "four channels", "no vocals", "state dict", "hostile", "another class",
     "another size", "quantised"],
)  # fmt: skip
def test_another_kind_of_file_is_refused_before_any_work(tmp_path: Path, kind: str) -> None:
    spoiled(tmp_path, kind)
    with pytest.raises(ConfigError) as caught:
        STAGE(backend="demucs", model=str(tmp_path), name="bad").digest()
    assert caught.value.code == "model:checkpoint" and "bad" in caught.value.message
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "bag", ["weights: [[1, 0, 0, 0]]", "weights: [[0, 1]]", "weights: [[1, 1, 1, 1], [1, 1, 1, 1]]"]
)
def test_a_bag_whose_weights_do_not_fit_is_refused(folder: Path, tmp_path: Path, bag: str) -> None:
    for path in folder.glob("955717e8-*"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "htdemucs.yaml").write_text(f"models: ['955717e8']\n{bag}\n")
    with pytest.raises(ConfigError, match="do not fit"):
        demucs_folder.load(demucs_folder.find(tmp_path, "htdemucs"))


@pytest.mark.parametrize("text", ["hello", "models: []", "models: ['955717e8']\nweights: 5", "a: [", ""])
def test_a_file_that_lists_no_bag_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "htdemucs.yaml").write_text(text)
    with pytest.raises(ConfigError, match="names no bag of models"):
        demucs_folder.find(tmp_path, "htdemucs")


def test_a_job_gives_a_worker_two_clips_at_once(
    folder: Path, tmp_path: Path, small_preset: Path, one_by_one: None
) -> None:
    """From stereo and mono sources to the table."""
    from media.writer import write_mp4
    from pipeline.config import load
    from pipeline.context import Context
    from pipeline.jobs import annotate, decide, filter, ingest

    sources = tmp_path / "two"
    sources.mkdir()
    for number, sound in enumerate((noise(2 * RATE, 2), noise(2 * RATE, seed=1))):
        frames = np.random.default_rng(number).integers(0, 255, (50, 64, 96, 3), np.uint8)
        write_mp4(sources / f"{sound.ndim}.mp4", frames, 25, sound)
    stems = f"{{name: separate.stems, params: {{backend: demucs, model: {folder}, floor_db: -100.0}}}}"
    settings = [f"annotate=[{stems}]", "engine.needs={annotate: {clips_at_once: 2}}"]
    context = Context(tmp_path / "out", load(str(small_preset), settings))
    ingest.run(context, [sources])
    filter.run(context)
    decide.run(context)
    done = annotate.run(context)
    assert (done["planned"], done["ok"], done["absent"]) == (4, 4, {})
    table = context.catalog.current("separate.stems")
    assert table is not None
    rows = [row for bucket in table.buckets() for row in table.read_bucket(bucket).to_pylist()]
    assert {row["backend"] for row in rows} == {"demucs"} and all(row["empty"] == [] for row in rows)
    assert all(-100 < row["voice_db"] < row["background_db"] for row in rows)
