"""Encoding shards: latents that decode to the clips, every sample accounted for, equal bytes, resume, one index."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.errors import ConfigError, KlearError, MediaError
from media.writer import write_mp4
from pipeline.jobs import generation, tars
from trainer.checkpoint import latest, read_progress
from trainer.codecs import audio_codec, video_codec
from trainer.codecs.fidelity import log_spectral_distance, psnr
from trainer.codecs.stats import ChannelStats, load_stats, save_stats
from trainer.data.encode import encode
from trainer.data.encode_settings import EncodeSettings
from trainer.data.encoder import Encoder, speech_within
from trainer.data.latents import LatentSet, find_latents, open_set
from trainer.data.media import usable_frames
from trainer.export.export import export
from trainer.loop import train
from trainer.settings import load_train_settings

RATE = 44_100
SETTINGS = EncodeSettings(width=64, height=48, max_s=1.0, fidelity_share=1.0)
SECONDS = {"00": 1.2, "01": 1.0, "02": 0.72, "03": 0.28, "04": 1.0, "05": 1.0}


def _key(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def _scene(name: str) -> tuple[np.ndarray, np.ndarray]:
    """25 fps frames (T, 72, 96, 3) of a moving gradient, and a stereo tone of another pitch each."""
    number, seconds = int(name), SECONDS[name]
    t, y, x = np.meshgrid(np.arange(round(seconds * 25)), np.arange(72), np.arange(96), indexing="ij")
    red = 128 + 80 * np.sin(x / (20 + number) + t / 10)
    frames = np.stack([red, 60 + y, 200 - 0.5 * red], -1).astype(np.uint8)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = (0.2 * np.sin(2 * np.pi * (220 + 110 * number) * time) * (1 + np.sin(9 * time))).astype(np.float32)
    return frames, np.stack([tone, tone], -1)


def _described(name: str, frames: np.ndarray) -> dict[str, Any]:
    return {
        "clip_id": _key(name),
        "source_id": _key("source" + name),
        "duration_s": len(frames) / 25,
        "fps": 25.0,
        "frames": len(frames),
        "width": 96,
        "height": 72,
        "split": "val" if name == "01" else "train",
        "audio_class": "music" if int(name) % 2 else "sound",
        "tasks": ["T2AV", "T2A"],
        "texts": {"audio": "a tone", "speech": "one two" if name == "00" else "", "video": "a gradient", "dense": ""},
        "measures": {"transcribe.whisperx": {"words": [_word("one", 0.1, 0.3), _word("two", 1.05, 1.15)]}},
    }


def _word(word: str, start: float, end: float) -> dict[str, Any]:
    return {"word": word, "start_s": start, "end_s": end}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of six samples: 03 is too short, 04's MP4 is damaged, the rest are whole."""
    out = tmp_path_factory.mktemp("out")
    release = generation.find_or_start(out / "shards", "recipe", 2)
    packed: dict[int, list[tars.Member]] = {0: [], 1: []}
    for name in sorted(SECONDS, key=_key):
        frames, tone = _scene(name)
        path = out / f"{name}.mp4"
        write_mp4(path, frames, 25, tone)
        mp4 = path.read_bytes()[:2000] if name == "04" else path.read_bytes()
        members = packed[int(name) % 2]
        members.append((f"{_key(name)}.json", json.dumps(_described(name, frames)).encode()))
        members.append((f"{_key(name)}.mp4", mp4))
    for number, members in packed.items():
        tars.write(out / "shards" / release.name / f"shard-{number:05d}.tar", members)
    return out


@pytest.fixture(scope="module")
def outcome(shards: Path, ray_session: None) -> dict[str, Any]:
    return encode(shards, SETTINGS, workers=1)


def test_every_sample_is_accounted_for_by_name(outcome: dict[str, Any]) -> None:
    assert [outcome[k] for k in ("planned", "ok", "too_short", "quarantined")] == [6, 4, 1, 1]
    causes = {row["key"]: (row["status"], row["code"]) for row in outcome["causes"]}
    assert causes[_key("03")] == ("too_short", "media:too_short")
    assert causes[_key("04")][0] == "quarantined" and causes[_key("04")][1].startswith("media:")
    told = outcome["fidelity"]
    assert told["psnr_db"]["mean"] > 30 and told["lsd_db"]["mean"] < 3 < told["lsd_db"]["samples"]
    assert told["psnr_plain_db"]["worst"] <= told["psnr_plain_db"]["mean"] and told["lsd_db"]["worst"] < 4
    assert outcome["sizes"] == {"64x48": 4} and "Apache-2.0" in outcome["licences"]["dct"]


def test_latents_decode_to_the_clip(shards: Path, outcome: dict[str, Any]) -> None:
    latents = LatentSet(find_latents(shards))
    raw = latents.load_raw(_key("00"))
    assert raw["video"].shape == (3, 3, 4, 128) and raw["video"].dtype == torch.float16
    assert raw["audio"].shape == (-(-round(17 / 24 * RATE) // 1024), 320)
    frames, tone = _scene("00")
    nearest = frames[np.round(np.arange(17) * 25 / 24).astype(int)]
    shown = video_codec("dct").decode(raw["video"].float())
    # 96x72 covers 64x48 exactly: compare with plain 3-pixel-to-2 resampling, hence the modest bound.
    small = nearest[:, 1::3, 1::3]
    assert shown.shape == (17, 48, 64, 3) and psnr(small, shown[:, ::2, ::2][:, :24, :32]) > 25
    heard = audio_codec("logmel4").decode(raw["audio"].float(), 31237)
    gain = 10 ** (_facts(shards, outcome, "00")["gain_db"] / 20)
    assert log_spectral_distance(tone[:31237, 0] * gain, heard) < 3


def _facts(shards: Path, outcome: dict[str, Any], name: str) -> dict[str, Any]:
    import webdataset as wds

    folder = find_latents(shards)
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    found = {s["__key__"]: json.loads(s["json"]) for s in wds.WebDataset(urls, shardshuffle=False)}
    assert len(found) == outcome["ok"]
    return found[_key(name)]["encoded"]


def test_samples_are_normalised_indexed_and_split(shards: Path, outcome: dict[str, Any]) -> None:
    latents = LatentSet(find_latents(shards))
    assert len(latents) == 4 and latents.keys("val") == [_key("01")] and latents.keys("test") == []
    assert latents.keys() == sorted(_key(name) for name in ("00", "01", "02", "05"))
    train = [latents.load(key) for key in latents.keys("train")]
    rows = torch.cat([s.video.reshape(-1, 128) for s in train]).double()
    assert rows.mean(0).abs().max() < 0.01
    torch.testing.assert_close(rows.var(0, correction=0), latents.video_stats.variance, rtol=0.01, atol=1e-5)
    assert float(torch.cat([s.audio for s in train]).std()) == pytest.approx(1, abs=0.02)
    sample, info = latents.load(_key("00")), latents.info(_key("00"))
    assert bytes(sample.speech.tolist()) == b"one"
    assert info.video == tuple(sample.video.shape[:3]) and info.audio == len(sample.audio)
    assert (info.video_text, info.audio_text, info.speech) == (len(sample.video_text), len(sample.audio_text), 3)
    assert sample.tasks == ("T2AV", "T2A") and sample.audio_class == "sound" and info.seconds == 17 / 24
    assert latents.load(_key("00")) is sample
    with pytest.raises(KlearError, match="no sample"):
        latents.load("00")


def test_a_second_run_does_nothing_and_a_run_after_a_loss_restores_the_same_bytes(
    shards: Path, outcome: dict[str, Any]
) -> None:
    folder = find_latents(shards)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    again = encode(shards, SETTINGS, workers=1)
    assert {k: again[k] for k in ("ok", "causes", "stats", "fidelity")} == {
        k: outcome[k] for k in ("ok", "causes", "stats", "fidelity")
    }
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")} == stamps
    table = shards / "tables" / "latents" / folder.name
    for path in [folder / "shard-00001.tar", folder / "index.parquet", table / "shard-00001.parquet"]:
        path.unlink()
    encode(shards, SETTINGS, workers=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_on_the_fly_gives_the_same_samples(shards: Path, outcome: dict[str, Any]) -> None:
    stored = open_set(shards, None, SETTINGS)
    live = open_set(shards, "on_the_fly", SETTINGS)
    known = [info for info in live.samples() if info.key != _key("04")]
    assert live.recipe == stored.recipe and known == list(stored.samples())
    with pytest.raises(MediaError, match=f"{_key('04')} in shard-00000.tar"):  # it is damaged, which nobody knew
        live.load(_key("04"))
    assert set(live.unusable) == {_key("03")} and live.unusable[_key("03")].startswith("media:too_short: ")
    key = stored.keys("train")[0]
    live.prefetch([key])
    left, right = stored.load(key), live.load(key)
    assert live.texts(key) == stored.texts(key)
    for name in ("video", "audio", "video_text", "audio_text", "speech"):
        assert torch.equal(getattr(left, name), getattr(right, name))
        assert live.load_raw(key)[name].dtype == stored.load_raw(key)[name].dtype
    with pytest.raises(ConfigError, match="statistics in .* are of logmel4-1"):
        open_set(shards, "on_the_fly", SETTINGS.model_copy(update={"audio_codec": "mdct"}))


def test_a_model_trained_on_the_fly_is_exported_with_the_statistics_it_saw(shards: Path, tmp_path: Path) -> None:
    """Those of a set of another recipe, and of no other set that lies there."""
    out, encoder = tmp_path / "out", Encoder(SETTINGS)
    shutil.copytree(shards / "shards", out / "shards")
    g = torch.Generator().manual_seed(0)
    for name in ("aaaa", "bbbb"):
        raw = {codec: torch.randn(400, codec.CHANNELS, generator=g) for codec in (encoder.video, encoder.audio)}
        fitted = [ChannelStats.fit(f"{c.NAME}-{c.VERSION}", c.SCALING, [rows]) for c, rows in raw.items()]
        (out / "latents" / name).mkdir(parents=True)
        save_stats(out / "latents" / name, dict(zip(("video", "audio"), fitted, strict=True)))
        (out / "latents" / name / "index.parquet").write_bytes(b"")
    sets = ["model.width=32", "model.ffn=48", "model.rope.axes=[6,4,4]", "model.video_channels=128"]
    sets += ["model.audio_channels=320", "model.text_dim=384", "stages.0.steps=1", "stages.0.tokens=400"]
    settings = load_train_settings("tiny", [*sets, "latents=on_the_fly:bbbb"]).model_copy(update={"encode": SETTINGS})
    train(settings, out, 1)
    assert set(json.loads((out / "report" / "unusable.json").read_text())) == {_key("03")}
    progress = read_progress(latest(out, 1) or out)
    assert progress.latents.endswith("/bbbb")
    config = json.loads((Path(export(out, 1)["folder"]) / "config.json").read_text())
    theirs = load_stats(out / "latents" / "bbbb")
    assert {m: config["statistics"][m]["recipe"] for m in theirs} == {m: s.recipe for m, s in theirs.items()}
    assert config["encode"]["width"] == 64 and config["codecs"]["video"]["name"] == "dct"
    other = settings.model_copy(update={"latents": "on_the_fly:aaaa"})
    with pytest.raises(ConfigError, match="was trained on latents .*/bbbb, not on .*/aaaa"):
        train(other, out, 1)


def test_each_clip_goes_to_its_class(shards: Path, outcome: dict[str, Any], one_by_one: None) -> None:
    sizes = {"sizes": ((64, 48), (48, 64), (128, 96)), "max_upscale": 1.0, "max_s": 0.5, "fidelity_share": 0.0}
    told = encode(shards, SETTINGS.model_copy(update=sizes), workers=1)
    assert told["sizes"] == {"64x48": 4} and told["fidelity"]["snr_db"] is None
    latents = LatentSet(shards / "latents" / told["folder"].rpartition("/")[2])
    assert {info.video for info in latents.samples()} == {(2, 3, 4)}
    larger = SETTINGS.model_copy(update={"sizes": ((128, 96),), "max_upscale": 1.2})
    with pytest.raises(KlearError, match="no training latents"):
        encode(shards, larger, workers=1)


@pytest.mark.parametrize("name", ["video", "audio", "text"])
def test_weights_that_are_absent_are_told_before_anything_starts(
    shards: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.engine import session

    monkeypatch.setattr(session, "start", lambda *given: pytest.fail("Ray was started"))
    model = {"video": ("video_codec", "wan"), "audio": ("audio_codec", "oobleck"), "text": ("text_encoder", "qwen")}
    for folder, words in ((None, "is null"), ("/nowhere", "no config.json there")):
        with pytest.raises(ConfigError, match=f"{name}_weights.*{words}"):
            encode(shards, SETTINGS.model_copy(update={model[name][0]: model[name][1], f"{name}_weights": folder}))


def test_an_unknown_generation_is_refused(shards: Path, outcome: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has \\['g0001'\\]"):
        encode(shards, SETTINGS.model_copy(update={"generation": "g0009"}))


@pytest.mark.parametrize(
    ("seconds", "most", "frames"), [(0.3, 3, 0), (0.375, 3, 9), (2.0, 3, 41), (3.0, 3, 65), (9, 3, 65), (5.05, 9, 121)]
)
def test_usable_frames_are_8k_plus_1(seconds: float, most: float, frames: int) -> None:
    assert usable_frames(seconds, most) == frames


def test_speech_is_cut_only_when_the_clip_is() -> None:
    described = _described("00", np.zeros((30, 2, 2, 3)))
    assert speech_within(described, 17 / 24) == "one"
    assert speech_within(described, 1.2) == "one two"
    assert speech_within(described | {"measures": {}}, 17 / 24) == "one two"
    heard = described["measures"]["transcribe.whisperx"]["words"]
    said = [{**word, "speaker": f"S{n}"} for n, word in enumerate(heard, 1)]
    longer = described | {"words": said, "duration_s": 3.0}
    assert speech_within(longer, 1.2) == "<S1> one <S2> two", "marks are kept, cut or not"
    assert speech_within(longer, 17 / 24) == "one"
    quiet = longer | {"words": [], "texts": {**described["texts"], "speech": ""}}
    assert speech_within(quiet, 17 / 24) == "", "words that were dropped do not come back by another table"
