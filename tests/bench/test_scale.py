"""The layouts on paper: the quickest that fits, and of those that are as quick the one with the smallest groups."""

import pytest

from bench import scale
from trainer.plan.clip import clips_of
from trainer.settings import load_train_settings


@pytest.mark.parametrize(
    ("tried", "chosen"),
    [
        # One whole copy of the states on 8 GPUs does not fit; 16 and 64 take as long, within a hundredth.
        (["shard=64 recompute=full", "shard=16 recompute=full", "shard=8 recompute=full"], 1),
        # 157 clips are 2.5 a GPU, and some wait for the third; groups of 8 GPUs have 20 each.
        (["shard=16 recompute=full", "shard=16 recompute=full context=8"], 1),
        (["shard=64 recompute=selective", "shard=64 recompute=none"], None),
    ],
)
def test_the_quickest_layout(monkeypatch, tried, chosen):
    settings = load_train_settings("klear_26b")
    sets = [tuple(f"parallel.{word}" for word in words.split()) for words in tried]
    monkeypatch.setattr(scale, "layouts", lambda *_: sets)
    found = scale.quickest(settings, 64, clips_of(settings))
    if chosen is None:
        assert found is None
    else:
        assert found is not None and found.sets == sets[chosen]
        assert found.told["memory"]["total"] <= found.told["memory"]["usable"]
