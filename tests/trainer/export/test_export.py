"""An export holds the checkpoint's weights bit for bit, needs nothing else, and takes the memory of one file."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors import safe_open
from safetensors.torch import save_file

from manifests.errors import ConfigError
from trainer.checkpoint import latest, load_ema
from trainer.data.latents import LatentSet, find_latents
from trainer.evaluate import load_averaged
from trainer.export import stored
from trainer.export.config import CONFIG, INDEX
from trainer.export.export import export, grouped, whole
from trainer.export.pretrained import load_pretrained
from trainer.generate import generate_from
from trainer.model.mmdit import MMDiT
from trainer.sampling.weights import cast_products


@pytest.fixture
def trained(trained_once, tmp_path):
    return shutil.copytree(trained_once, tmp_path / "out")


def averaged(out: Path, settings) -> MMDiT:
    model = MMDiT(settings.model)
    load_ema(latest(out, 1), model)
    return model.eval()


def test_in_fp32_it_is_the_average_bit_for_bit_without_the_run(trained, tiny, tmp_path, document):
    made = export(trained, 1, dtype="fp32", to=tmp_path / "model", max_gb=2e-4)
    assert made["files"] > 2 and made["written"]
    expected, latents = averaged(trained, tiny), LatentSet(find_latents(trained))
    shutil.rmtree(trained)
    loaded = load_pretrained(tmp_path / "model")
    names = dict(loaded.model.named_parameters())
    assert all(torch.equal(names[name], p) for name, p in expected.named_parameters())
    assert loaded.settings.model == tiny.model and loaded.settings.objective == tiny.objective
    for medium in ("video_stats", "audio_stats"):
        mine, theirs = getattr(loaded.space, medium), getattr(latents, medium)
        assert mine.recipe == theirs.recipe
        x = torch.randn(3, len(mine.mean))
        assert torch.equal(mine.denormalise(x), theirs.denormalise(x))


def test_files_are_in_the_hubs_layout_and_no_larger_than_asked(trained, tmp_path):
    folder = tmp_path / "model"
    made = export(trained, 1, to=folder, max_gb=1e-4)
    index = json.loads((folder / INDEX).read_text())
    files = sorted(p.name for p in folder.glob("*.safetensors"))
    count = made["files"]
    assert files == [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
    total = 0
    for name in files:
        assert (folder / name).stat().st_size <= 1e5
        with safe_open(folder / name, "pt") as file:
            assert file.metadata() == {"format": "pt"}
            assert {index["weight_map"][key] for key in file.keys()} == {name}  # noqa: SIM118
            tensors = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118
        assert all(t.dtype == torch.bfloat16 for t in tensors)
        total += sum(t.nbytes for t in tensors)
    assert index["metadata"]["total_size"] == total == 2 * made["parameters"]


def test_the_config_says_which_way_the_velocity_points(trained, tiny, tmp_path):
    export(trained, 1, to=tmp_path / "model")
    config = json.loads((tmp_path / "model" / CONFIG).read_text())
    told = config["convention"]
    assert (told["velocity"], told["sigma"]) == ("noise - clean", "0 clean, 1 noise")
    assert (told["prediction"], told["floor"], told["precondition"]) == ("x", 0.05, True)
    assert len(config["statistics"]["audio"]["variance"]) == tiny.model.audio_channels
    assert config["codecs"]["video"]["name"] == "dct" and "Apache" in config["codecs"]["video"]["licence"]
    assert config["rates"] == {
        "video_fps": 24,
        "video_frames_per_latent": 8,
        "audio_rate": 44_100,
        "audio_hop": 1024,
    }
    assert config["training"]["step"] == 6 and config["training"]["latents"] == "0000test"
    assert str(trained) not in json.dumps(config)


def test_made_again_it_is_left_alone_and_nothing_else_is_overwritten(trained, tmp_path):
    folder = tmp_path / "model"
    assert export(trained, 1, to=folder)["written"]
    before = (folder / CONFIG).stat().st_mtime_ns
    assert not export(trained, 1, to=folder)["written"]
    assert (folder / CONFIG).stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="another --to"):
        export(trained, 1, weights="model", to=folder)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="another --to"):
        export(trained, 1, to=tmp_path / "mine")


@pytest.mark.parametrize("damage", ["gone", "short", "no index"])
def test_made_again_a_broken_one_is_refused_by_the_files_name(trained, tmp_path, damage):
    folder = tmp_path / "model"
    export(trained, 1, to=folder, max_gb=1e-4)
    path = sorted(folder.glob("*.safetensors"))[1]
    if damage == "no index":
        path = folder / INDEX
    if damage == "short":
        os.truncate(path, path.stat().st_size - 1)
    else:
        path.unlink()
    with pytest.raises(ConfigError, match=f"{path.name}.*remove the folder") as caught:
        export(trained, 1, to=folder, max_gb=1e-4)
    assert caught.value.code == "export:damaged"


def test_the_final_name_is_given_when_all_files_are_written(trained, tmp_path, monkeypatch):
    """What kills it half way finds no folder of that name, whether or not anybody can tidy up."""
    folder, written = tmp_path / "made" / "model", []

    def half_way(tensors, path, metadata):
        if written:
            assert not folder.exists(), "not before the last file"
            raise KeyboardInterrupt
        written.append(path)
        save_file(tensors, path, metadata)

    monkeypatch.setattr("safetensors.torch.save_file", half_way)
    with pytest.raises(KeyboardInterrupt):
        export(trained, 1, to=folder, max_gb=1e-4)
    assert len(written) == 1 and list(folder.parent.iterdir()) == []


def test_a_failed_export_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "model") as partial:
        (partial / CONFIG).write_text("{}")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_bad_input_names_the_fix(trained, tmp_path):
    with pytest.raises(ConfigError, match=r"stages \[1\]"):
        export(trained, 2)
    with pytest.raises(ConfigError, match="bf16 or fp32"):
        export(trained, 1, dtype="fp8")
    with pytest.raises(ConfigError, match="ema, model, lora, merged"):
        export(trained, 1, weights="best")
    folder = latest(trained, 1)
    folder.rename(folder.with_name(f".partial-{folder.name}"))
    for other in folder.parent.glob("step-*"):
        shutil.rmtree(other)
    with pytest.raises(ConfigError, match="no finished checkpoint"):
        export(trained, 1)
    with pytest.raises(ConfigError, match="klear-train export"):
        load_pretrained(tmp_path)


def test_a_damaged_export_is_refused(trained, tmp_path):
    folder = tmp_path / "model"
    export(trained, 1, to=folder, max_gb=1e-4)
    config = json.loads((folder / CONFIG).read_text())
    config["statistics"]["video"]["mean"][0] += 1
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="do not match their recipe"):
        load_pretrained(folder)
    name = sorted(folder.glob("*.safetensors"))[0]
    with safe_open(name, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors.pop(next(iter(tensors)))
    save_file(tensors, name)
    with pytest.raises(ConfigError, match="does not fit"):
        load_pretrained(folder)
    name.unlink()
    with pytest.raises(ConfigError, match="lacks 1 of"):
        load_pretrained(folder)


def test_it_generates_without_the_run(trained, tmp_path):
    folder = tmp_path / "model"
    export(trained, 1, to=folder)
    shutil.rmtree(trained)
    sets = ["generate.steps=2", "generate.duration_s=1"]
    with pytest.raises(ConfigError, match="--prompt"):
        generate_from(folder, tmp_path / "samples", [])
    # The tiny model reads captions of 7 channels; the embedded encoder writes 384.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.text.minilm.MiniLM.encode", lambda self, texts: [torch.randn(4, 7) for _ in texts])
        made = generate_from(folder, tmp_path / "samples", ["a bell rings"], ["T2AV", "T2A"], sets)
    assert [row["task"] for row in made["samples"]] == ["T2AV", "T2A"]
    assert all((tmp_path / "samples" / row["file"]).stat().st_size > 1000 for row in made["samples"])


def test_for_sampling_both_loaders_cast_each_tensor_as_it_comes(trained, tiny, tmp_path):
    """No float32 copy of what the passes use in bf16, from files of float32, and the bits of casting it later."""
    settings = tiny.model_copy(update={"precision": "bf16"})
    export(trained, 1, dtype="fp32", to=tmp_path / "model")
    whole = dict(cast_products(averaged(trained, tiny), "bf16").named_parameters())
    latents, cpu = LatentSet(find_latents(trained)), torch.device("cpu")
    of_checkpoint, _ = load_averaged(settings, trained, 1, latents, cpu, lean=True)
    of_export = load_pretrained(tmp_path / "model", sets=["precision=bf16"], lean=True).model
    for model in (of_checkpoint, of_export):
        assert all(p.dtype == whole[n].dtype and torch.equal(p, whole[n]) for n, p in model.named_parameters())
    assert {p.dtype for p in whole.values()} == {torch.bfloat16, torch.float32}


def test_files_are_cut_by_size_and_a_large_tensor_goes_alone():
    sizes = [(str(i), torch.Size([n])) for i, n in enumerate([100, 100, 4000, 100])]
    groups = grouped(sizes, 4, max_gb=2e-6)
    assert [[name for name, _ in group] for group in groups] == [["0", "1"], ["2"], ["3"]]


PEAK = """
import sys, torch
from pathlib import Path
from trainer.export import stored
from trainer.export.export import whole, write_tensors

folder, to = Path(sys.argv[1]), Path(sys.argv[2])

def mib(key):
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows[key].split()[0]) / 1024

part = stored.Part(folder, "ema")
part.read(list(part.sizes.items())[:1], torch.float32)  # what the libraries take once
from safetensors.torch import save_file
Path("/proc/self/clear_refs").write_text("5")
start = mib("VmRSS")
with whole(to) as partial:
    write_tensors(partial, part, torch.float32, 0.05)
print(mib("VmHWM") - start)
"""


@pytest.mark.slow
def test_memory_is_that_of_one_file(tmp_path):
    """400 MB of weights in files of 50 MB: the peak of the process grows by about one file (48 MiB), not by eight."""
    weights = {f"blocks.{i}": torch.randn(1000, 1000) for i in range(100)}
    dcp.save({"ema": weights}, checkpoint_id=tmp_path / "checkpoint", no_dist=True)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "checkpoint"), str(tmp_path / "model")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    grown = float(done.stdout.split()[-1])
    print(f"peak memory grew by {grown:.0f} MiB")
    assert 40 < grown < 2 * 48
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 7
    found = stored.Part(tmp_path / "checkpoint", "ema").read([("blocks.7", torch.Size([1000, 1000]))], torch.float32)
    assert torch.equal(found["blocks.7"], weights["blocks.7"])
