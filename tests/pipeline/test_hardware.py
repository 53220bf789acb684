"""Hardware settings: `auto` falls back aloud, a name is never replaced, recipes name what is really used."""

from dataclasses import asdict

import pytest

from manifests.errors import ConfigError
from manifests.ids import recipe
from media import hardware as cards
from pipeline import console, hardware
from pipeline.config import load
from pipeline.jobs.encoded import encode_recipe


def test_auto_falls_back_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load("local", ["shard.encoder=auto", "sources.decoder=auto"])
    monkeypatch.setattr(cards, "why_no_encoder", lambda encoder: "no card")
    monkeypatch.setattr(cards, "why_no_cuda", lambda: "no driver")
    with console.err.capture() as said:
        encoder = hardware.with_encoder(settings).shard.encoder
        decoder = hardware.with_decoder(settings.sources).decoder
    assert (encoder, decoder) == ("libx264", "cpu")
    assert "no card" in said.get() and "no driver" in said.get() and len(said.get().splitlines()) == 2


def test_the_recipe_names_the_encoder_used(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = {}
    for why in ("", "no card"):
        monkeypatch.setattr(cards, "why_no_encoder", lambda encoder, why=why: why)
        with console.err.capture():
            used = encode_recipe(hardware.with_encoder(load("local", ["shard.encoder=auto"])).shard)
        recipes[used.encoder] = recipe("shard", 1, "", asdict(used), {})
    plain = recipe("shard", 1, "", asdict(encode_recipe(load("local", []).shard)), {})
    assert recipes["libx264"] == plain != recipes["h264_nvenc"]


def test_what_was_asked_for_by_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "why_no_encoder", lambda encoder: "no card")
    monkeypatch.setattr(cards, "why_no_cuda", lambda: "no driver")
    with pytest.raises(ConfigError, match="no card"):
        hardware.with_encoder(load("local", ["shard.encoder=h264_nvenc"]))
    with pytest.raises(ConfigError, match="no driver"):
        hardware.with_decoder(load("local", ["sources.decoder=cuda"]).sources)
    with pytest.raises(ConfigError, match=r"shard\.encoder"):
        load("local", ["shard.encoder=mpeg2"])
