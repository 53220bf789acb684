"""LoRA: it starts as the base, learns, leaves the base alone, and comes out in peft's files and merged."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch

from manifests.errors import ConfigError
from trainer.base import load_base, open_latents
from trainer.checkpoint import latest, load_ema
from trainer.evaluate import evaluate
from trainer.export.export import export
from trainer.export.pretrained import load_pretrained
from trainer.export.stored import Part
from trainer.loop import train
from trainer.lora import LoraSettings, add_adapters, load_adapters
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.packing import pack
from trainer.parallel import join_world
from trainer.run import start_run
from trainer.settings import TrainSettings
from trainer.trainable import trainable

HAS_PEFT = importlib.util.find_spec("peft") is not None
needs_peft = pytest.mark.skipif(not HAS_PEFT, reason="peft is not installed: pip install 'klear[lora]'")


@pytest.fixture
def base(trained_once, tmp_path) -> Path:
    """An export of a trained base."""
    export(trained_once, 1, dtype="fp32", to=tmp_path / "base", max_gb=1e-4)
    return tmp_path / "base"


def adapting(tiny: TrainSettings, base: Path, **changes: object) -> TrainSettings:
    lora = LoraSettings(base=str(base), rank=4, alpha=8, **changes)
    stage = tiny.stages[0].model_copy(update={"steps": 8, "lr": 5e-3, "warmup": 1})
    return tiny.model_copy(update={"lora": lora, "stages": (stage,), "heldout_every": 8})


def outputs(model: torch.nn.Module, settings: TrainSettings, out: Path) -> torch.Tensor:
    from trainer.heldout import heldout_document

    latents = open_latents(settings, out)
    documents = [heldout_document(latents.load(key), "T2AV", 0.5) for key in latents.keys("val")[:2]]
    with torch.no_grad():
        made = model(pack(documents, settings.model).packed)
    return torch.cat([made.video.flatten(), made.audio.flatten()])


@needs_peft
def test_it_starts_as_the_base_with_few_weights_that_train(out, tiny, base):
    settings = adapting(tiny, base)
    run = start_run(settings, out, 1, open_latents(settings, out), join_world("cpu"))
    whole = load_pretrained(base).model
    assert torch.equal(outputs(run.model.eval(), settings, out), outputs(whole, settings, out))
    names = set(trainable(run.model))
    assert len(names) == 2 * 4 * 4 * tiny.model.layers and all(".lora_" in name for name in names)
    assert set(run.ema.weights) == names
    again = MMDiT(settings.model)
    add_adapters(again, settings.lora)
    init_weights(again, settings.seed)
    assert all(torch.equal(p, trainable(again)[name]) for name, p in trainable(run.model).items())


@needs_peft
def test_it_learns_and_the_base_stays_bit_equal(out, tiny, base, monkeypatch):
    from trainer import loop

    settings, runs = adapting(tiny, base), []
    monkeypatch.setattr(loop, "start_run", lambda *args: runs.append(start_run(*args)) or runs[-1])
    result = train(settings, out, 1)
    assert result["heldout"][-1]["video"] < result["heldout"][0]["video"]
    assert all(".lora_" in name for name in Part(latest(out, 1), "model").sizes)
    assert evaluate(settings, out, 1)["samples"] > 0
    kept = dict(load_pretrained(base).model.named_parameters())
    after = dict(runs[0].model.named_parameters())
    frozen = {n.replace(".base_layer.", "."): p for n, p in after.items() if ".lora_" not in n}
    assert frozen.keys() == kept.keys()
    assert all(torch.equal(p, kept[name]) for name, p in frozen.items())
    moved = [p for name, p in after.items() if ".lora_B." in name]
    assert sum(bool(p.any()) for p in moved) > len(moved) // 2


@needs_peft
@pytest.mark.slow
def test_a_resumed_run_is_bit_equal(out, tiny, base):
    settings = adapting(tiny, base, heads=True)
    whole = train(settings, out, 1)
    expected = Part(latest(out, 1), "ema")
    weights = expected.read(list(expected.sizes.items()), torch.float32)
    shutil.rmtree(latest(out, 1))
    assert train(settings, out, 1)["heldout"] == whole["heldout"]
    again = Part(latest(out, 1), "ema").read(list(expected.sizes.items()), torch.float32)
    assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())
    assert any(name.startswith("heads.") for name in weights)


@needs_peft
@pytest.mark.parametrize("heads", [pytest.param(False, marks=pytest.mark.slow), True])
def test_adapters_in_pefts_files_and_merged_give_the_trained_model(out, tiny, base, tmp_path, heads):
    settings = adapting(tiny, base, heads=heads)
    train(settings, out, 1)
    trained = MMDiT(settings.model)
    add_adapters(trained, settings.lora)
    load_base(trained, settings)
    load_ema(latest(out, 1), trained)
    expected = outputs(trained.eval(), settings, out)
    made = export(out, 1, "lora", "fp32", to=tmp_path / "adapters")
    assert made["parameters"] == sum(p.numel() for p in trainable(trained).values())
    names = {path.name for path in (tmp_path / "adapters").iterdir()}
    assert names == {"adapter_model.safetensors", "adapter_config.json", "config.json"}
    loaded = load_adapters(load_pretrained(base).model, tmp_path / "adapters").eval()
    assert torch.equal(outputs(loaded, settings, out), expected)
    assert torch.allclose(outputs(loaded.merge_and_unload(), settings, out), expected, atol=1e-5)
    export(out, 1, "merged", "fp32", to=tmp_path / "merged", max_gb=1e-4)
    merged = load_pretrained(tmp_path / "merged").model
    assert torch.allclose(outputs(merged, settings, out), expected, atol=1e-5)
    assert not torch.allclose(outputs(load_pretrained(base).model, settings, out), expected, atol=1e-4)


@needs_peft
def test_a_checkpoint_is_a_base_too_and_its_statistics_rule(out, tiny, tmp_path):
    train(tiny, out, 1)
    other = shutil.copytree(out, tmp_path / "other")
    shutil.rmtree(other / "checkpoints")
    settings = adapting(tiny, latest(out, 1))
    latents = open_latents(settings, other)
    assert latents.video_stats.recipe == open_latents(tiny, out).video_stats.recipe
    run = start_run(settings, other, 1, latents, join_world("cpu"))
    expected = MMDiT(tiny.model)
    load_ema(latest(out, 1), expected)
    assert torch.equal(outputs(run.model.eval(), settings, other), outputs(expected.eval(), tiny, out))


@needs_peft
@pytest.mark.slow
def test_two_processes_train_the_adapters_of_one(out, tiny, base, launch):
    """FSDP2 with frozen and trained weights in one unit."""
    settings = adapting(tiny, base)
    one = train(settings, out, 1)
    shutil.rmtree(out / "checkpoints")
    two = launch(settings, 2)
    assert two["processes"] == 2
    for medium in ("video", "audio"):
        assert two["heldout"][-1][medium] == pytest.approx(one["heldout"][-1][medium], rel=1e-4)


@needs_peft
def test_bad_settings_name_the_fix(out, tiny, base, tmp_path):
    settings = adapting(tiny, base)
    with pytest.raises(ConfigError, match="no folder"):
        open_latents(adapting(tiny, tmp_path / "nowhere"), out)
    wider = settings.model_copy(update={"model": tiny.model.model_copy(update={"ffn": 64})})
    with pytest.raises(ConfigError, match="another model"):
        start_run(wider, out, 1, open_latents(settings, out), join_world("cpu"))
    train(settings, out, 1)
    with pytest.raises(ConfigError, match="lora or merged"):
        export(out, 1)
    with pytest.raises(ConfigError, match="trained with lora"):
        evaluate(tiny.model_copy(update={"stages": settings.stages}), out, 1)


def test_a_run_of_the_whole_model_has_no_adapters(out, tiny):
    train(tiny, out, 1)
    with pytest.raises(ConfigError, match="ema or model"):
        export(out, 1, "lora")


def test_without_peft_the_error_names_the_extra(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"klear\[lora\]"):
        add_adapters(MMDiT(config), LoraSettings(base="x"))
