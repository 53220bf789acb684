"""Our Synchformer against the outputs of the authors' own code (random weights, reduced size), tensor by tensor."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from filters.sync import synchformer_input as prepare
from filters.sync.synchformer_model import Heads, SynchformerModel, load
from manifests.errors import ConfigError

HEADS = Heads(video=3, audio=4, sync=8)


@pytest.fixture
def golden(golden_dir: Path) -> SimpleNamespace:
    """The reduced model, and what the authors' code made of it."""
    model = load(load_file(golden_dir / "synchformer_small.safetensors"), HEADS)
    outputs = load_file(golden_dir / "synchformer_small_outputs.safetensors")
    return SimpleNamespace(model=model, outputs=outputs, folder=golden_dir)


def rand_u8(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """The fixtures' recipe for frames."""
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
    """Tolerance 2e-5 absolute; the fixtures allow 1e-4."""
    model, outputs = golden.model, golden.outputs
    frames = rand_u8(1001, (120, 3, 224, 224)).transpose(0, 2, 3, 1)
    video, audio = prepare.pixels(frames, 0, 14), rand_f32(1002, (1, 14, 1, 128, 66))[0]
    towers = model.vfeat_extractor, model.afeat_extractor
    found = {
        "video_tokens_in_seg0": towers[0].embed(video[:1])[:, :64],
        "video_tokens_out_seg0": towers[0].trunk(towers[0].embed(video[:1]))[:, :64],
        "audio_tokens_in_seg0": towers[1].embed(audio[:1]),
        "audio_tokens_out_seg0": towers[1].trunk(towers[1].embed(audio[:1])),
        "video_features": towers[0](video)[None],
        "audio_features": towers[1](audio)[None],
    }
    features = model.features(video, audio)
    found |= {"video_projected_seg0": features[0][:1], "audio_projected_seg0": features[1][:1]}
    found["sync_hidden_offset_token"] = model.transformer.hidden(*(part.flatten(0, 1)[None] for part in features))
    found["logits"] = model(*(part[None] for part in features))
    assert set(found) == set(outputs)
    errors = {name: apart(found[name], outputs[name]) for name in outputs}
    assert max(errors.values()) < 2e-5, errors


@torch.inference_mode()
def test_from_frames_and_samples_to_logits(golden: SimpleNamespace) -> None:
    wanted = load_file(golden.folder / "synchformer_preprocess.safetensors")
    cases = json.loads((golden.folder / "synchformer_preprocess.json").read_text())
    frames = prepare.centre(rand_u8(1003, (175, 3, 256, 342)).transpose(0, 2, 3, 1))
    sound = np.load(golden.folder / "waveform.npz")["waveform"]
    for case, (start_s, offset_s) in enumerate([(0.0, 0.0), (1.0, 0.4), (1.2, -0.6)]):
        first = round(start_s * 25) + 2, round((start_s + offset_s) * 16_000) + 1280  # the middle 4.8 s of 5
        video, audio = prepare.pixels(frames[first[0] :], 0, 14), prepare.mel(sound[first[1] :], 0, 14)
        assert apart(audio, wanted[f"case{case}.mel"]) < 2e-4
        assert apart(video.mean((-2, -1)), wanted[f"case{case}.video_mean"]) < 1e-6
        block = video[[0, 13]][:, [0, 15]][..., 100:108, :8]
        assert apart(block, wanted[f"case{case}.video_block"]) < 1e-6
        if case == 0:
            features = golden.model.features(video, audio)
            assert apart(golden.model(*(part[None] for part in features)), wanted["case0.small_model_logits"]) < 1e-4
    assert cases
    assert apart(prepare.filterbank().T, wanted["stage.mel_filterbank"]) < 1e-4


def test_the_full_size_has_the_authors_names_and_shapes(golden_dir: Path) -> None:
    listed = json.loads((golden_dir / "synchformer_full_keys.json").read_text())["state_dict"]
    with torch.device("meta"):
        state = {entry["key"]: torch.empty(entry["shape"]) for entry in listed}
        model = SynchformerModel(state)
    own = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert own == {entry["key"]: entry["shape"] for entry in listed}
    assert sum(value.numel() for value in model.state_dict().values()) == 237_460_245


def test_what_is_no_synchformer_is_refused_by_name(golden_dir: Path) -> None:
    state = load_file(golden_dir / "synchformer_small.safetensors")
    for bad, said in (({}, "vproj"), ({**state, "extra": torch.zeros(1)}, "extra")):
        with pytest.raises(ConfigError, match=said) as caught:
            load(bad, HEADS)
        assert caught.value.code == "model:state"
    with pytest.raises(ConfigError, match="pos_emb"):
        load({**state, "transformer.pos_emb_cfg.pos_emb": torch.zeros(1, 100, 64)}, HEADS)
    longer = torch.cat([state["transformer.pos_emb_cfg.pos_emb"], torch.ones(1, 3, 64)], 1)
    assert load({**state, "transformer.pos_emb_cfg.pos_emb": longer}, HEADS)
