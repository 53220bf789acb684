"""Small synthetic samples and a tiny model for the trainer's tests."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load, save

from trainer.codecs.stats import ChannelStats, Scaling, save_stats
from trainer.data.sample import Sample
from trainer.documents import Conditions, Document
from trainer.loop import train
from trainer.model.config import BytesConfig, ModelConfig, RopeConfig
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.packing import PackedBatch, pack
from trainer.settings import TrainSettings, as_plain, load_train_settings
from trainer.tasks import TASKS


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig(
        width=32,
        layers=2,
        heads=2,
        ffn=48,
        video_channels=6,
        audio_channels=5,
        text_dim=7,
        bytes=BytesConfig(width=8, layers=1, kernel=3),
        rope=RopeConfig(axes=(6, 4, 4)),
    )


def _sample(seed: int, speech: str = "hello") -> Sample:
    g = torch.Generator().manual_seed(seed)
    latents = 2 + seed % 2
    return Sample(
        key=f"{seed:032x}",
        split="train",
        audio_class="sound",
        tasks=tuple(TASKS),
        video=torch.randn(latents, 2, 3, 6, generator=g),
        audio=torch.randn(round(43.07 * (8 * latents - 7) / 24), 5, generator=g),
        video_text=torch.randn(4 + seed % 3, 7, generator=g),
        audio_text=torch.randn(5, 7, generator=g),
        speech=torch.tensor(list(speech.encode()), dtype=torch.uint8),
    )


def _document(seed: int, task: str, sigma: float = 0.6, **drops: bool) -> Document:
    sample = _sample(seed, "" if seed % 4 == 3 else f"words {seed}")
    g = torch.Generator().manual_seed(1000 + seed)
    noise = [torch.randn(x.shape, generator=g) for x in (sample.video, sample.audio)]
    return Document(sample, TASKS[task], Conditions(sigma, sigma, noise[0], noise[1], **drops))


@pytest.fixture
def document() -> Callable[..., Document]:
    """document(seed, task, sigma=0.6, drop_...=False): a synthetic document."""
    return _document


@pytest.fixture
def batch(config: ModelConfig) -> PackedBatch:
    """All five tasks in one micro-batch."""
    return pack([_document(i, task, 0.1 + 0.2 * i) for i, task in enumerate(TASKS)], config)


@pytest.fixture
def model(config: ModelConfig) -> MMDiT:
    """A model with every weight random, AdaLN and heads too: at the real start it would predict 0."""
    model = MMDiT(config)
    init_weights(model, 0)
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=g))
    return model


def _write_latents(out: Path, settings: TrainSettings, cells: tuple[int, int] = (2, 3)) -> Path:
    """A finished set of latents under `out`: 8 training and 4 held-out clips, of two classes, with structure."""
    folder = out / "latents" / "0000test"
    folder.mkdir(parents=True)
    rows, raws, g = [], [], torch.Generator().manual_seed(0)
    bases = [torch.randn(2, c, generator=g) for c in (settings.model.video_channels, settings.model.audio_channels)]
    with tarfile.open(folder / "shard-00000.tar", "w") as tar:
        for i in range(12):
            latents = 2 + i % 2
            sizes = (latents * cells[0] * cells[1], round(43.07 * (8 * latents - 7) / 24))
            video, audio = (torch.randn(n, 2, generator=g) @ base for n, base in zip(sizes, bases, strict=True))
            raw = {
                "video": video.reshape(latents, *cells, -1),
                "audio": audio,
                "video_text": torch.randn(4, settings.model.text_dim, generator=g),
                "audio_text": torch.randn(3, settings.model.text_dim, generator=g),
                "speech": torch.tensor(list(b"hi"[: i % 3]), dtype=torch.uint8),
            }
            key, split, name = f"{i:032x}", "val" if i >= 8 else "train", ("music", "sound")[i % 2]
            raws.append(raw)
            text = json.dumps({"texts": {"video": f"clip {i}", "audio": name}}).encode()
            for kind, body in (("json", text), ("latents.safetensors", save(raw))):
                member = tarfile.TarInfo(f"{key}.{kind}")
                member.size = len(body)
                place = tar.offset + 512
                tar.addfile(member, io.BytesIO(body))
            counts = {n: len(raw[n]) for n in ("audio", "video_text", "audio_text", "speech")}
            info = {"key": key, "audio_class": name, "tasks": list(TASKS), "split": split, **counts}
            info |= {"video": list(raw["video"].shape[:3]), "seconds": (8 * latents - 7) / 24}
            rows.append(info | {"shard": "shard-00000.tar", "offset": place, "size": len(body)})
    stats = {m: ChannelStats.fit(m, Scaling(1.0, 0.5), [raw[m] for raw in raws[:8]]) for m in ("video", "audio")}
    save_stats(folder, stats)
    codecs = {"video_codec": "dct", "audio_codec": "logmel4", "width": 16 * cells[1], "height": 16 * cells[0]}
    (folder / "settings.json").write_text(json.dumps(codecs))
    pq.write_table(pa.Table.from_pylist(rows), folder / "index.parquet")
    return out


def _tiny() -> TrainSettings:
    sets = ["model.width=32", "model.ffn=48", "model.rope.axes=[6,4,4]", "model.text_dim=7", "stages.0.tokens=200"]
    return load_train_settings("tiny", [*sets, "stages.0.steps=6", "stages.1.steps=3", "save_every=2", "log_every=2"])


@pytest.fixture
def tiny() -> TrainSettings:
    """The `tiny` preset, smaller still."""
    return _tiny()


@pytest.fixture
def out(tmp_path: Path, tiny: TrainSettings) -> Path:
    """A run folder with finished latents."""
    return _write_latents(tmp_path / "out", tiny)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with stage 1 of `tiny` trained; to be copied, not changed."""
    torch.set_num_threads(1)
    out = _write_latents(tmp_path_factory.mktemp("trained") / "out", _tiny())
    train(_tiny(), out, 1)
    return out


@pytest.fixture
def tiny_even(tiny: TrainSettings) -> TrainSettings:
    """`tiny` with video tokens of 2 x 2 cells."""
    return tiny.model_copy(update={"model": tiny.model.model_copy(update={"patch": 2})})


@pytest.fixture
def out_even(tmp_path: Path, tiny_even: TrainSettings) -> Path:
    """A run folder with finished latents of 2 x 4 cells."""
    return _write_latents(tmp_path / "out", tiny_even, (2, 4))


@pytest.fixture
def poison(out: Path) -> Callable[[str], None]:
    """poison(key): the latents of a sample become NaN on disk."""

    def poison(key: str) -> None:
        folder = out / "latents" / "0000test"
        row = next(r for r in pq.read_table(folder / "index.parquet").to_pylist() if r["key"] == key)
        with (folder / row["shard"]).open("r+b") as file:
            file.seek(row["offset"])
            raw = load(file.read(row["size"]))
            spoilt = save(raw | {m: torch.full_like(raw[m], torch.nan) for m in ("video", "audio")})
            assert len(spoilt) == row["size"]
            file.seek(row["offset"])
            file.write(spoilt)

    return poison


@pytest.fixture
def start(out: Path, tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """start(settings, *arguments): `python *arguments train --out ... --json` as a process of its own."""

    def start(settings: TrainSettings, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        preset = tmp_path / "preset.yaml"
        preset.write_text(yaml.safe_dump(json.loads(json.dumps(as_plain(settings)))))
        return subprocess.Popen(
            [sys.executable, *arguments, "train", "--out", str(out), "--preset", str(preset), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            cwd=Path(__file__).parents[2],
        )

    return start


@pytest.fixture
def launch(start: Callable[..., subprocess.Popen]) -> Callable[[TrainSettings, int], dict]:
    """launch(settings, processes): train under torchrun to the end; the summary."""

    def launch(settings: TrainSettings, processes: int) -> dict:
        torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", "trainer")
        process = start(settings, *torchrun)
        output, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors[-3000:]
        return json.loads(output)

    return launch
