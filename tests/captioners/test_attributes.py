"""Gender and age of speakers: which speech is heard, and a tiny random model in the published format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from captioners.attributes.own_speech import longest, own_spans
from captioners.attributes.speakers import ESTIMATES, STAGE
from manifests.errors import BackendAbsent, ConfigError
from media.clip import Clip
from media.views import AUDIO_16K, Views

WIDTH = 32
CONFIG: dict[str, Any] = {
    "model_type": "wav2vec2", "architectures": ["AgeGenderModel"], "hidden_size": WIDTH, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 48, "conv_dim": [16] * 7, "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_bias": True, "feat_extract_norm": "layer",
    "do_stable_layer_norm": True, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "final_dropout": 0.1, "id2label": {"0": "female", "1": "male", "2": "child"}, "vocab_size": 1,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
FRONT = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "sampling_rate": 16_000,
    "padding_value": 0.0, "padding_side": "right", "do_normalize": True, "return_attention_mask": True,
}  # fmt: skip
HEADS = {
    f"{head}.{layer}.{kind}"
    for head in ("age", "gender")
    for layer in ("dense", "out_proj")
    for kind in ("weight", "bias")
}


def published() -> dict[str, torch.Tensor]:
    """Weights under the names of the authors' files, whose positions are a weight norm of before torch 2.1."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    drawn = torch.Generator().manual_seed(0)
    shapes = {f"wav2vec2.{k}": v.shape for k, v in Wav2Vec2Model(Wav2Vec2Config(**CONFIG)).state_dict().items()}
    shapes |= {name: torch.Size([WIDTH, WIDTH][: 2 if "weight" in name else 1]) for name in HEADS}
    for head, outputs in (("age", 1), ("gender", 3)):
        shapes |= {
            f"{head}.out_proj.weight": torch.Size([outputs, WIDTH]),
            f"{head}.out_proj.bias": torch.Size([outputs]),
        }
    norm = "parametrizations.weight.original"
    named = {k.replace(f"{norm}0", "weight_g").replace(f"{norm}1", "weight_v"): v for k, v in shapes.items()}
    return {name: torch.randn(shape, generator=drawn) * 0.3 for name, shape in named.items()}


def write(folder: Path, weights: dict[str, torch.Tensor], kind: str = "safetensors") -> Path:
    """The folder as on the hub."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps(FRONT))
    (folder / "vocab.json").write_text("{}")
    if kind == "safetensors":
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(weights, folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("weights") / "age_gender", published())


def turn(speaker: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"speaker": speaker, "start_s": start_s, "end_s": end_s}


def test_a_speaker_is_heard_where_no_one_else_speaks() -> None:
    turns = [turn("S1", 0.0, 3.0), turn("S2", 2.0, 5.0), turn("S1", 4.0, 4.5), turn("S3", 2.5, 2.75), turn("S1", 6, 7)]
    assert own_spans(turns) == {"S1": [(0.0, 2.0), (6, 7)], "S2": [(3.0, 4.0), (4.5, 5.0)], "S3": []}
    assert own_spans([turn("S1", 0, 1), turn("S1", 0.5, 2), turn("S1", 2, 3)]) == {"S1": [(0, 3)]}
    assert own_spans([]) == {}


def test_the_longest_pieces_come_first_and_stay_in_order() -> None:
    spans = [(0.0, 1.0), (2.0, 6.0), (7.0, 9.0)]
    assert longest(spans, 5.0) == [(2.0, 6.0), (7.0, 8.0)]
    assert longest(spans, 4.0) == [(2.0, 6.0)] and longest(spans, 100.0) == spans and longest([], 5.0) == []


def reference(weights: dict[str, torch.Tensor], speech: np.ndarray) -> tuple[float, np.ndarray]:
    """Years and shares by the published description, from transformers' model alone and the heads by hand."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    model = Wav2Vec2Model(Wav2Vec2Config(**CONFIG)).eval()
    own = {k.removeprefix("wav2vec2."): v for k, v in weights.items() if k.startswith("wav2vec2.")}
    norm = "encoder.pos_conv_embed.conv."
    own |= {
        f"{norm}parametrizations.weight.original{i}": own.pop(f"{norm}weight_{side}") for i, side in enumerate("gv")
    }
    model.load_state_dict(own)
    even = (speech - speech.mean()) / np.sqrt(speech.var() + 1e-7)
    with torch.no_grad():
        pooled = model(torch.from_numpy(even)[None]).last_hidden_state.mean(1)[0]
        head = {
            name: torch.tanh(pooled @ weights[f"{name}.dense.weight"].T + weights[f"{name}.dense.bias"])
            @ weights[f"{name}.out_proj.weight"].T
            + weights[f"{name}.out_proj.bias"]
            for name in ("age", "gender")
        }
    return max(0.0, 100 * float(head["age"])), head["gender"].softmax(0).numpy()


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_estimates_are_those_of_the_published_description(
    clip: Clip, sound: Callable[..., np.ndarray], tmp_path: Path, kind: str
) -> None:
    weights = published()
    weights["age.out_proj.bias"] += 0.4
    stage = STAGE(weights=str(write(tmp_path / "m", weights, kind)), max_s=2.0, on="cpu")
    assert len(stage.digest()) == 64
    audio = sound("speech/jfk.flac")
    turns = [turn("S1", 0.5, 2.0), turn("S2", 2.5, 6.0), turn("S1", 5.0, 7.0), turn("S3", 8.0, 8.5)]
    row = stage(clip, Views({AUDIO_16K: audio}), {"audio.voices": {"turns": turns}})
    heard = {"S1": [(0.5, 2.0), (6.0, 6.5)], "S2": [(2.5, 4.5)]}
    found = {one["speaker"]: one for one in row["estimates"]}
    assert row["backend"] == "wav2vec2_age_gender" and list(found) == ["S1", "S2", "S3"]
    for speaker, spans in heard.items():
        speech = np.concatenate([audio[round(a * 16_000) : round(b * 16_000)] for a, b in spans])
        years, shares = reference(weights, speech)
        one = found[speaker]
        assert one["age_years"] == pytest.approx(years, abs=1e-3) and one["seconds"] == pytest.approx(2.0)
        assert one["gender_confidence"] == pytest.approx(shares.max(), abs=1e-5)
        assert one["gender"] == ("female", "male", "child")[shares.argmax()]
    assert found["S3"] == {"speaker": "S3", "seconds": 0.5}
    assert row == stage(clip, Views({AUDIO_16K: audio}), {"audio.voices": {"turns": turns}})
    assert len(pa.array([row["estimates"]], ESTIMATES)) == 1


@pytest.mark.parametrize(
    ("age", "band"), [(0.02, "child"), (0.2, "youth"), (0.4, "adult"), (0.7, "senior"), (-0.1, "child")]
)
def test_bands_of_age(clip: Clip, tmp_path: Path, age: float, band: str) -> None:
    weights = published() | {"age.out_proj.weight": torch.zeros(1, WIDTH), "age.out_proj.bias": torch.tensor([age])}
    stage = STAGE(weights=str(write(tmp_path / "m", weights)), on="cpu")
    facts = {"audio.voices": {"turns": [turn("S1", 0.0, 1.5)]}}
    (found,) = stage(clip, Views({AUDIO_16K: np.zeros(24_000, np.float32)}), facts)["estimates"]
    assert found["age_band"] == band and found["age_years"] == pytest.approx(max(0, 100 * age), abs=1e-3)


def test_no_one_speaks_or_a_turn_passes_the_end(clip: Clip, folder: Path) -> None:
    stage, views = STAGE(weights=str(folder), on="cpu"), Views({AUDIO_16K: np.zeros(20_000, np.float32)})
    for turns in ([], None):
        assert stage(clip, views, {"audio.voices": {"turns": turns}})["estimates"] == []
    (found,) = stage(clip, views, {"audio.voices": {"turns": [turn("S1", 0.0, 9.0)]}})["estimates"]
    assert found["seconds"] == 1.25 and found["gender"] is not None


def test_absent_weights_say_what_where_and_under_which_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    with pytest.raises(BackendAbsent) as caught:
        STAGE().digest()
    assert caught.value.code == "backend:weights"
    for part in ("age_gender", str(tmp_path), "CC-BY-NC-SA 4.0", "not for commercial use", "attributes.speakers"):
        assert part in caught.value.message


@pytest.mark.parametrize("kind", ["no heads", "a head more", "another width", "text"])
def test_another_model_is_refused_before_any_work(tmp_path: Path, kind: str) -> None:
    weights = published()
    if kind == "no heads":  # any other wav2vec 2.0
        weights = {name: value for name, value in weights.items() if name not in HEADS}
    elif kind == "a head more":
        weights["emotion.out_proj.weight"] = torch.zeros(3, WIDTH)
    elif kind == "another width":
        weights["gender.out_proj.weight"] = torch.zeros(2, WIDTH)
    folder = write(tmp_path / "m", weights)
    if kind == "text":
        (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ConfigError) as caught:
        STAGE(weights=str(folder)).digest()
    assert caught.value.code == "model:checkpoint" and str(folder) in caught.value.message


def test_spare_weights_of_training_may_be_left_out(tmp_path: Path) -> None:
    weights = published()
    del weights["wav2vec2.masked_spec_embed"]
    assert STAGE(weights=str(write(tmp_path / "m", weights))).digest()
