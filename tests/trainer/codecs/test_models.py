"""Codecs and text encoders with weights, by folder: tiny random ones that diffusers and transformers saved."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from manifests.errors import ConfigError
from trainer.codecs import audio_codec, video_codec
from trainer.codecs.folders import digest_of
from trainer.text import text_encoder

MEAN, STD = [0.1, -0.2, 0.3, 0.0], [0.5, 1.5, 2.0, 1.0]


@pytest.fixture(scope="module")
def wan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the shape of Wan2.2's: patches of 2, two halvings in time, 16 pixels a cell."""
    from media.cpu_torch import install

    install()
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    model = AutoencoderKLWan(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=MEAN,
        latents_std=STD,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_temporal=4,
        scale_factor_spatial=16,
    )
    folder = tmp_path_factory.mktemp("wan")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def oobleck_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from diffusers import AutoencoderOobleck

    torch.manual_seed(0)
    model = AutoencoderOobleck(
        encoder_hidden_size=8,
        downsampling_ratios=[2, 4, 4, 4, 8],
        channel_multiples=[1, 1, 1, 1, 1],
        decoder_channels=4,
        decoder_input_channels=4,
        audio_channels=2,
        sampling_rate=44_100,
    )
    folder = tmp_path_factory.mktemp("oobleck")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model of the Qwen2 family, with a tokenizer of bytes."""
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("qwen")
    vocabulary = {letter: number for number, letter in enumerate(bytes_to_unicode().values())}
    tokenizer = Qwen2Tokenizer(vocabulary, [], eos_token="<|endoftext|>")
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(tokenizer) + 3,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def _frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 32, 48, 3), dtype=np.uint8)


def test_wan_has_three_latents_a_second_on_the_scale_of_its_config(wan_folder: Path) -> None:
    from diffusers import AutoencoderKLWan

    codec = video_codec("wan", str(wan_folder), "float32", "cpu")
    frames = _frames(25)
    latents = codec.encode(frames)
    assert latents.shape == (4, 2, 3, 4) and latents.dtype == torch.float32 and codec.CHANNELS == 4
    pixels = torch.from_numpy(frames[::2]).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        z = AutoencoderKLWan.from_pretrained(wan_folder).encode(pixels).latent_dist.mode()[0].permute(1, 2, 3, 0)
    torch.testing.assert_close(latents, (z - torch.tensor(MEAN)) / torch.tensor(STD), rtol=1e-4, atol=1e-4)
    shown = codec.decode(latents)
    assert shown.shape == frames.shape and shown.dtype == np.uint8
    assert (shown[0] == shown[1]).all() and (shown[2] == shown[3]).all(), "12 frames a second, shown at 24"


def test_wan_is_causal(wan_folder: Path) -> None:
    codec = video_codec("wan", str(wan_folder), "float32", "cpu")
    frames = _frames(17)
    torch.testing.assert_close(codec.encode(frames[:9]), codec.encode(frames)[:2], rtol=1e-4, atol=1e-4)


def test_half_precision_is_near(wan_folder: Path) -> None:
    exact, half = (video_codec("wan", str(wan_folder), p, "cpu").encode(_frames(9)) for p in ("float32", "bfloat16"))
    assert float((exact - half).norm() / exact.norm()) < 0.05


def test_oobleck_takes_mono_and_stereo(oobleck_folder: Path) -> None:
    codec = audio_codec("oobleck", str(oobleck_folder), "float32", "cpu")
    mono = np.sin(np.arange(5000) / 20).astype(np.float32)
    latents = codec.encode(mono)
    assert latents.shape == (5, 4) and latents.dtype == torch.float32
    torch.testing.assert_close(codec.encode(np.stack([mono, mono], -1)), latents)
    assert not torch.allclose(codec.encode(np.stack([mono, -mono], -1)), latents)
    heard = codec.decode(latents, 5000)
    assert heard.shape == (5000,) and heard.dtype == np.float32 and np.abs(heard).max() > 0


def test_hidden_states_have_true_length_and_ignore_their_neighbours(qwen_folder: Path) -> None:
    from transformers import AutoTokenizer, Qwen2ForCausalLM

    encoder = text_encoder("qwen", str(qwen_folder), "float32", "cpu")
    texts = ["a dog barks", "", "x" * 400]
    features = encoder.encode(texts)
    assert [len(f) for f in features] == [encoder.length(text) for text in texts] == [11, 0, 256]
    assert features[1].shape == (0, 16) and encoder.STORED is torch.bfloat16
    assert torch.equal(encoder.encode(texts[:1])[0], features[0])
    model = Qwen2ForCausalLM.from_pretrained(qwen_folder)
    tokens = AutoTokenizer.from_pretrained(qwen_folder)(texts[0], return_tensors="pt")
    with torch.no_grad():
        wanted = model(**tokens, output_hidden_states=True).hidden_states[-1][0]
    torch.testing.assert_close(features[0], wanted)


def test_digests_are_of_the_content(wan_folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    for path in wan_folder.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    assert digest_of(str(copied)) == video_codec("wan", str(wan_folder)).digest()
    weights = bytearray((copied / "diffusion_pytorch_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copied / "diffusion_pytorch_model.safetensors").write_bytes(weights)
    assert digest_of(str(copied)) != digest_of(str(wan_folder))


def test_folders_of_another_model_are_refused(wan_folder: Path, oobleck_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds 'AutoencoderOobleck', not AutoencoderKLWan"):
        video_codec("wan", str(oobleck_folder))
    for name, change, words in (
        (wan_folder, {"scale_factor_spatial": 8}, "4 frames x 8 pixels"),
        (oobleck_folder, {"downsampling_ratios": [2, 4, 4, 8, 8]}, "2048 samples a latent"),
    ):
        config = json.loads((name / "config.json").read_text()) | change
        (tmp_path / "config.json").write_text(json.dumps(config))
        make = video_codec if name is wan_folder else audio_codec
        with pytest.raises(ConfigError, match=words):
            make("wan" if name is wan_folder else "oobleck", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="no hidden_size"):
        text_encoder("qwen", str(tmp_path))
    with pytest.raises(ConfigError, match="'minilm' and 'qwen'"):
        text_encoder("bert")


def test_a_sample_is_encoded_by_all_three(
    wan_folder: Path, oobleck_folder: Path, qwen_folder: Path, tmp_path: Path
) -> None:
    from media.writer import write_mp4
    from trainer.data.encode_settings import EncodeSettings
    from trainer.data.encoder import Encoder

    sound = (0.1 * np.sin(np.arange(44_100) / 30)).astype(np.float32)
    write_mp4(tmp_path / "clip.mp4", np.repeat(_frames(1), 25, 0), 25, np.stack([sound, sound], -1))
    described = {"clip_id": "00" * 16, "source_id": "00" * 16, "duration_s": 1.0, "fps": 25.0, "frames": 25}
    described |= {"width": 48, "height": 32, "texts": {"video": "a dog", "audio": "", "speech": "hi"}}
    weights = {"video_weights": str(wan_folder), "audio_weights": str(oobleck_folder), "text_weights": str(qwen_folder)}
    codecs = {"video_codec": "wan", "audio_codec": "oobleck", "text_encoder": "qwen"}
    encoder = Encoder(EncodeSettings(width=48, height=32, device="cpu", fidelity_share=1.0, **codecs, **weights))
    encoded = encoder.encode(described, (tmp_path / "clip.mp4").read_bytes())
    kept, promised = encoder.stored(encoded.tensors), encoder.lengths(described)
    assert list(kept["video"].shape) == [*promised["video"], 4] == [3, 2, 3, 4]
    assert [len(kept[n]) for n in ("audio", "video_text", "audio_text", "speech")] == [
        promised[n] for n in ("audio", "video_text", "audio_text", "speech")
    ]
    kinds = {n: t.dtype for n, t in kept.items()}
    assert kinds["video"] == kinds["audio"] == torch.float16
    assert kinds["video_text"] == kinds["audio_text"] == torch.bfloat16
    facts = encoder.fidelity("00" * 16, encoded.media, kept)
    assert facts["psnr_plain_db"] is None and all(facts[n] is not None for n in ("psnr_db", "snr_db", "lsd_db"))
