"""Captions by vLLM in this process, where it is installed: a tiny random Qwen-Omni under the grammar of the answers."""

import importlib.util
import json
import os
from fractions import Fraction

import numpy as np
import pytest

from captioners.caption import audio_vllm, fused_vllm, video_vllm, vllm_engine
from captioners.caption.answer import COLUMNS
from manifests.errors import BackendAbsent, KlearError, MachineError
from media.clip import Clip
from media.views import AUDIO_16K, Views
from tests.captioners import tiny_omni

ABSENT = importlib.util.find_spec("vllm") is None
ENGINE = {"enforce_eager": True, "dtype": "float32", "max_model_len": 8192, "max_num_seqs": 4}
ENGINE |= {"limit_mm_per_prompt": {"audio": 1, "image": 4, "video": 1}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    made = tiny_omni.write(tmp_path_factory.mktemp("omni"), wide=128)
    told = json.loads((made / "processor_config.json").read_text())["video_processor"]
    (made / "video_preprocessor_config.json").write_text(json.dumps(told))  # where vLLM 0.30 looks for its name
    return made


def given(stage, number):
    clip = Clip(number.to_bytes(16, "big"), bytes(16), "", 0, 75, Fraction(25), 64, 48, 44_100, 2)
    rng = np.random.default_rng(number)
    arrays, times = {}, {}
    for view in stage.VIEWS:
        if view == AUDIO_16K:
            arrays[view] = rng.uniform(-0.5, 0.5, 16_000).astype(np.float32)
        else:
            arrays[view] = rng.integers(0, 255, (4, 56, 56, 3), dtype=np.uint8)
            times[view] = np.arange(4) / 2
    return clip, Views(arrays, times=times), {}


def make(kind, folder, **params):
    return kind.STAGE(folder=str(folder), licence="Apache-2.0", engine=ENGINE, frames=4, **params)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(ABSENT, reason="vllm is not installed in this environment")
def test_random_weights_write_three_captions(folder):
    for kind, params in ((audio_vllm, {}), (video_vllm, {}), (video_vllm, {"picture": "video"}), (fused_vllm, {})):
        stage = make(kind, folder, temperature=1.0, max_tokens=4000, **params)
        rows = stage.many([given(stage, number) for number in range(3)])
        for row in rows:
            assert set(row) == set(COLUMNS) and row["caption"] and row["caption_short"] and row["structured"]
            assert row["prompt_tokens"] > 100 and row["tokens"] > 50 and row["backend"] == "vllm"
    cut = make(audio_vllm, folder, max_tokens=5)
    found = cut.many([given(cut, 1)])[0]
    assert isinstance(found, KlearError) and found.code == "caption:malformed"


def test_what_is_missing_is_named(folder, tmp_path, monkeypatch):
    with pytest.raises(BackendAbsent, match=r"caption\.audio_vllm: .* holds no config\.json"):
        make(audio_vllm, tmp_path).digest()
    stage = make(audio_vllm, folder)
    assert stage.digest() != make(fused_vllm, folder).digest()
    vllm_engine._engine.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="worker environment with vllm"):
        stage.many([given(stage, 1)])
