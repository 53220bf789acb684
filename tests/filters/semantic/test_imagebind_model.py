"""Our ImageBind against the outputs of the authors' own code (random weights, reduced size), tensor by tensor."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from filters.audio.kaldi_bands import bank, fbank
from filters.semantic import imagebind_input as prepare
from filters.semantic.imagebind_model import Heads, ImageBindModel, load
from manifests.errors import BackendAbsent, ConfigError

HEADS = Heads(vision=4, text=3, audio=4, depth=2, thermal=2, imu=2)


@pytest.fixture
def golden(golden_dir: Path) -> SimpleNamespace:
    """The reduced model, and what the authors' code made of it."""
    model = load(load_file(golden_dir / "imagebind_small.safetensors"), HEADS)
    facts = json.loads((golden_dir / "imagebind_small.json").read_text())
    sound = np.load(golden_dir / "waveform.npz")["waveform"]
    outputs = load_file(golden_dir / "imagebind_small_outputs.safetensors")
    return SimpleNamespace(model=model, outputs=outputs, facts=facts, sound=sound)


def rand_u8(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """The fixtures' recipe for pictures."""
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, size=shape, dtype=np.uint8)


def rand_f32(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """The fixtures' recipe for anything else: multiples of 2**-14 in [-2, 2)."""
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(-32768, 32768, size=shape, dtype=np.int32)
    return torch.from_numpy(drawn.astype(np.float32) / np.float32(16384))


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest absolute difference of two tensors of one shape."""
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    return float((found.double() - wanted.double()).abs().max())


@torch.inference_mode()
def test_every_stored_tensor_of_the_model(golden: SimpleNamespace) -> None:
    """Unit-length embeddings within 1e-5; those of norm 13 and more, and tokens, within 1e-4."""
    model, outputs = golden.model, golden.outputs
    inputs = {
        "image": ("vision", rand_f32(3001, (2, 3, 224, 224))),
        "audio": ("audio", rand_f32(3003, (2, 3, 1, 128, 204)).flatten(0, 1)),
        "text": ("text", outputs["text.tokens"]),
    }
    errors = {}
    for medium, (name, given) in inputs.items():
        into = model.tokens(name, given)
        out = model.trunk(name, into)
        few = slice(None) if medium == "text" else slice(8)
        found = {"trunk_in": into[:, few], "trunk_out": out[:, few], "head_out": model.head(name, out, given)}
        errors |= {f"{medium}_{k}": apart(v, outputs[f"model.{medium}_{k}"]) for k, v in found.items()}
    video = rand_f32(3002, (1, 3, 3, 2, 224, 224))
    whole = {
        "image": model.embed("vision", inputs["image"][1]),
        "video": model("vision", video),
        "audio": model("audio", rand_f32(3003, (2, 3, 1, 128, 204))),
        "text": model.embed("text", outputs["text.tokens"]),
        "waveform_audio": model("audio", prepare.mel_clips(golden.sound)[None]),
        "image0": model.embed("vision", prepare.image(rand_u8(2001, (256, 340, 3)))[None]),
    }
    errors |= {f"{name}_embedding": apart(v, outputs[f"model.{name}_embedding"]) for name, v in whole.items()}
    tokens = model.tokens("vision", video[0])
    errors["video_head_out"] = apart(
        model.head("vision", model.trunk("vision", tokens), video[0]), outputs["model.video_head_out"]
    )
    assert {f"model.{name}" for name in errors} == {name for name in outputs if name.startswith("model.")}
    loose = {"waveform_audio_embedding": 1e-3, "image0_embedding": 1e-3}
    unit = {"image_embedding": 1e-5, "video_embedding": 1e-5}
    assert all(error < (loose | unit).get(name, 1e-4) for name, error in errors.items()), errors


def test_every_stored_tensor_of_the_preprocessing(golden: SimpleNamespace) -> None:
    """Mel within 2e-4, logarithms before normalising 1e-3, banks 1e-4, pixels 1e-6, tokens equal."""
    found = {name: (value, 2e-4) for name, value in sounds(golden.sound).items()} | pictures()
    found["audio.fbank_clip0"] = fbank(torch.tensor(golden.sound[:32_000] - golden.sound[:32_000].mean())), 1e-3
    found["audio.kaldi_filterbank"] = bank(128), 1e-4
    found["text.tokens"] = prepare.tokens(golden.facts["texts"]), 0.5
    otherwise = {"audio_overlap_dc.clips"}
    assert set(found) | otherwise == {name for name in golden.outputs if not name.startswith("model.")}
    errors = {name: apart(value, golden.outputs[name]) for name, (value, _) in found.items()}
    assert all(errors[name] < most for name, (_, most) in found.items()), errors


def sounds(sound: np.ndarray) -> dict[str, torch.Tensor]:
    """Clips of the waveform; of one with a constant added; of a short one; of a stereo pair's left."""
    shifted = prepare.mel_clips(sound[:72_000] + np.float32(0.05))
    return {
        "audio.clips": prepare.mel_clips(sound)[None],
        "audio_overlap_dc.clips_without_inplace_effect": shifted[None],
        "audio_short.clips_1_5s": prepare.mel_clips(sound[:24_000])[None, :1],
        "audio_stereo.clips": prepare.mel_clips(sound[:72_000])[None, :1],
    }


def pictures() -> dict[str, tuple[torch.Tensor, float]]:
    """Images of three sizes, and two frames of a video."""
    found = {}
    for i, shape in enumerate([(256, 340, 3), (180, 320, 3), (333, 250, 3)]):
        seen = prepare.image(rand_u8(2001 + i, shape))
        found |= {
            f"image{i}.mean": (seen.mean((-2, -1))[None], 1e-6),
            f"image{i}.block": (seen[:, 100:116, 100:116], 1e-6),
        }
    crops = prepare.crops(rand_u8(2004, (50, 3, 180, 320)).transpose(0, 2, 3, 1)[[0, 49]])
    return found | {
        "video.crop_mean": (crops.mean((-2, -1)), 1e-6),
        "video.block": (crops[..., 100:108, 100:108], 1e-6),
    }


def test_clips_that_overlap_are_not_shifted_twice(golden: SimpleNamespace) -> None:
    """Done otherwise: the authors take the mean of a clip from the waveform itself, so that what the next clip shares
    with it is moved once more. With 0.05 added, that is 0.42 in the two columns at the edge of the later clips, and
    nothing anywhere else."""
    own = prepare.mel_clips(golden.sound[:72_000] + np.float32(0.05))[None]
    error = (own - golden.outputs["audio_overlap_dc.clips"]).abs()
    edge = [(clip, column) for _, clip, _, _, column in torch.nonzero(error > 2e-4).tolist()]
    assert set(edge) == {(1, 73), (1, 74), (2, 73), (2, 74)}
    assert float(error.max()) == pytest.approx(0.424, abs=0.01)


def test_of_stereo_both_channels_are_heard(golden: SimpleNamespace) -> None:
    """Done otherwise: the authors hear the left channel alone; the stage hears the mean of the channels, as every other
    measure does, so that a voice on the right counts. For a left and right that share nothing: 1.37 at most, 0.17 in
    the mean, of a normalised value."""
    left = golden.sound[:72_000]
    own = prepare.mel_clips((left + left[::-1]) / 2)[None, :1]
    error = (own - golden.outputs["audio_stereo.clips"]).abs()
    assert float(error.mean()) == pytest.approx(0.168, abs=0.01)


@pytest.mark.parametrize("duration", ["1.5", "2.0", "4.5", "7.0", "10.0"])
def test_clips_lie_where_the_authors_have_them(golden: SimpleNamespace, duration: str) -> None:
    wanted = golden.facts["inputs"]["clip_times_sec"][f"{duration} s"]
    assert prepare.clip_starts(float(duration)) == [start for start, _ in wanted]


def test_texts(golden: SimpleNamespace) -> None:
    wanted = golden.outputs["text.tokens"]
    assert torch.equal(prepare.tokens(golden.facts["texts"]), wanted)
    assert torch.equal(prepare.tokens(golden.facts["texts"], prepare.MERGES.locate()), wanted)


def test_another_vocabulary_in_the_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MERGES", replace(prepare.MERGES, sha256="0" * 64))
    with pytest.raises(BackendAbsent, match="imagebind-unofficial"):
        prepare.tokens(["a dog"])


def test_the_full_size_has_the_authors_names_and_shapes(golden_dir: Path) -> None:
    listed = json.loads((golden_dir / "imagebind_full_keys.json").read_text())["state_dict"]
    with torch.device("meta"):
        state = {entry["key"]: torch.empty(entry["shape"]) for entry in listed}
        model = ImageBindModel(state)
    own = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert own == {entry["key"]: entry["shape"] for entry in listed}
    assert sum(value.numel() for value in model.state_dict().values()) == 1_200_786_990


def test_what_is_no_imagebind_is_refused_by_name(golden_dir: Path) -> None:
    state = load_file(golden_dir / "imagebind_small.safetensors")
    short = {key: value for key, value in state.items() if key != "modality_heads.imu.3.weight"}
    for bad, said in (({}, "vision"), ({**state, "extra": torch.zeros(1)}, "extra"), (short, "imu")):
        with pytest.raises(ConfigError, match=said) as caught:
            load(bad, HEADS)
        assert caught.value.code == "model:state"
