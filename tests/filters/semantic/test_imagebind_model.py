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


def test_sound(golden: SimpleNamespace) -> None:
    outputs, sound = golden.outputs, golden.sound
    assert apart(fbank(torch.tensor(sound[:32_000] - sound[:32_000].mean())), outputs["audio.fbank_clip0"]) < 1e-3
    assert apart(bank(128), outputs["audio.kaldi_filterbank"]) < 1e-4
    assert apart(prepare.mel_clips(sound)[None], outputs["audio.clips"]) < 2e-4
    shifted = prepare.mel_clips(sound[:72_000] + np.float32(0.05))[None]
    assert apart(shifted, outputs["audio_overlap_dc.clips_without_inplace_effect"]) < 2e-4
    assert apart(prepare.mel_clips(sound[:24_000])[None, :1], outputs["audio_short.clips_1_5s"]) < 2e-4


@pytest.mark.parametrize("duration", ["1.5", "2.0", "4.5", "7.0", "10.0"])
def test_clips_lie_where_the_authors_have_them(golden: SimpleNamespace, duration: str) -> None:
    wanted = golden.facts["inputs"]["clip_times_sec"][f"{duration} s"]
    assert prepare.clip_starts(float(duration)) == [start for start, _ in wanted]


def test_pictures(golden: SimpleNamespace) -> None:
    """Within one grey level: two libraries' resizing rounds differently."""
    for i, shape in enumerate([(256, 340, 3), (180, 320, 3), (333, 250, 3)]):
        found = prepare.image(rand_u8(2001 + i, shape))
        assert apart(found[:, 100:116, 100:116], golden.outputs[f"image{i}.block"]) < 0.0152
    found = prepare.crops(rand_u8(2004, (50, 3, 180, 320)).transpose(0, 2, 3, 1)[[0, 49]])
    assert apart(found.mean((-2, -1)), golden.outputs["video.crop_mean"]) < 1e-5


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
