"""Captions by Qwen-Omni in this process: a tiny random checkpoint of the published layout through the real loader."""

import json
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from captioners import omni
from captioners.caption import audio_omni, fused_omni, video_omni
from captioners.caption.answer import COLUMNS
from manifests.errors import BackendAbsent, ConfigError, KlearError
from media.clip import Clip
from media.views import AUDIO_16K, Views


def given(stage, number):
    clip = Clip(number.to_bytes(16, "big"), bytes(16), "", 0, 75, Fraction(25), 64, 48, 44_100, 2)
    rng = np.random.default_rng(number)
    arrays = {
        view: rng.uniform(-0.5, 0.5, 16_000).astype(np.float32)
        if view == AUDIO_16K
        else rng.integers(0, 255, (4, 56, 56, 3), dtype=np.uint8)
        for view in stage.VIEWS
    }
    return clip, Views(arrays), {}


def make(kind, folder, **params):
    return kind.STAGE(folder=str(folder), licence="Apache-2.0", max_tokens=12, **params)


@pytest.mark.parametrize("kind", [audio_omni, video_omni, fused_omni])
def test_what_is_no_json_is_asked_for_as_plain_text(kind, tiny_omni):
    stage = make(kind, tiny_omni)
    clips = [given(stage, number) for number in range(3)]
    rows = stage.many(clips)
    for row in rows:
        assert set(row) == set(COLUMNS) and row["caption"]
        assert row["caption_short"] is None and row["structured"] is None
        assert row["prompt_version"].endswith("@1+plain") and row["model"] == tiny_omni.name
        assert 12 < row["tokens"] <= 24  # both tries are counted
    plain = make(kind, tiny_omni, form="plain").many(clips)
    assert [row["caption"] for row in plain] == [row["caption"] for row in rows]
    assert all(one["tokens"] < two["tokens"] for one, two in zip(plain, rows, strict=True))
    alone = [make(kind, tiny_omni, at_once=1).many([one])[0]["caption"] for one in clips]
    assert alone == [row["caption"] for row in rows]


def test_json_becomes_three_captions(tiny_omni, monkeypatch):
    stage = make(audio_omni, tiny_omni)
    whole = {"short": "s", "dense": "d", "sounds": [], "voices": None, "music": None, "place": None}
    texts = [json.dumps(whole), "no JSON", ""]
    asked = []

    def generate(prompts, max_new_tokens, seed, temperature):
        asked.append(len(prompts))
        return [omni.Answer(texts[p.audio.size % 3], 100, 10) for p in prompts]

    monkeypatch.setattr(omni, "load", lambda *where: SimpleNamespace(generate=generate))
    clips = [(given(stage, n)[0], Views({AUDIO_16K: np.zeros(9 + n, np.float32)}), {}) for n in range(3)]
    first, second, third = stage.many(clips)
    assert (first["caption"], first["caption_short"], first["tokens"]) == ("d", "s", 10)
    assert (second["caption"], second["caption_short"], second["tokens"]) == ("no JSON", None, 20)
    assert isinstance(third, KlearError) and third.code == "caption:empty" and asked == [3, 2]


def test_what_is_missing_is_named(tmp_path, tiny_omni):
    with pytest.raises(BackendAbsent, match=r"caption\.audio_omni: .* holds no config\.json"):
        make(audio_omni, tmp_path).digest()
    with pytest.raises(ConfigError, match="licence"):
        audio_omni.STAGE(folder=str(tiny_omni))
    assert make(audio_omni, tiny_omni).digest() != make(video_omni, tiny_omni).digest()
