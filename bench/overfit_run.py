"""Train a variant on the sixteen clips with the real loop, and sample it from the sixteen captions.

Needs OUT/sets/<variant> alone, and nothing that reads or plays media: a machine with torch can run it.
RESULTS/<variant>.safetensors: raw latents, `<key>.video` and `<key>.audio`, float32; what it took in the metadata.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trainer.batches import tokens_of
from trainer.codecs.stats import ChannelStats
from trainer.data.draws import draw_normal
from trainer.data.encode_settings import EncodeSettings
from trainer.data.latents import LatentSet, find_latents
from trainer.documents import Conditions, Document
from trainer.evaluate import load_averaged
from trainer.loop import train
from trainer.parallel import join_world
from trainer.readings import readings_of
from trainer.sampler import sample_documents
from trainer.settings import TrainSettings
from trainer.tasks import TASKS

SAMPLING_SEED = 1_000_003
"""Of the noise that samples start from: none that training has seen."""
_TRIAL = 20


@dataclass(frozen=True)
class Variant:
    """What is changed against `base`: the audio codec, the prediction, the power of the video channels' scaling."""

    name: str
    audio_codec: str = "logmel4"
    prediction: str = "x"
    p: float = 0.5

    @property
    def encode(self) -> EncodeSettings:
        """How its latents are made."""
        return EncodeSettings.model_validate({"audio_codec": self.audio_codec, "p": self.p, "max_s": 2.05})


VARIANTS = {
    v.name: v
    for v in (
        Variant("base"),
        Variant("mdct", audio_codec="mdct"),
        Variant("v", prediction="v"),
        Variant("p0", p=0.0),
        Variant("p1", p=1.0),
    )
}


@dataclass(frozen=True)
class Plan:
    """How each variant is trained: the same for all. clips: a step; lr: peak, then a cosine down to lr * final_lr."""

    steps: int
    clips: int
    layers: int
    width: int
    lr: float
    final_lr: float
    ema: float
    precision: str
    device: str
    rank: int | None = None
    sampler_steps: int = 50
    seed: int = 0


def settings_of(variant: Variant, plan: Plan, clip_tokens: int) -> TrainSettings:
    """The trainer's settings: T2AV alone, no caption dropped, no decay of weights, one stage."""
    heads = max(1, plan.width // 64)
    channels = {"logmel4": 320, "mdct": 256}[variant.audio_codec]
    return TrainSettings.model_validate(
        {
            "seed": plan.seed,
            "device": plan.device,
            "precision": plan.precision,
            "model": {
                "width": plan.width,
                "layers": plan.layers,
                "heads": heads,
                "ffn": 2 * plan.width,
                "modulation_rank": plan.rank,
                "audio_channels": channels,
                "bytes": {"width": 8, "layers": 0},
                "rope": {"axes": [24, 20, 20], "theta": 30},
            },
            "objective": {"prediction": variant.prediction, "drop": 0.0},
            "optim": {"weight_decay": 0.0, "ema": plan.ema},
            "mixture": {"tasks": {"T2AV": 1.0}},
            "stages": [
                {
                    "steps": plan.steps,
                    "tokens": plan.clips * clip_tokens,
                    "lr": plan.lr,
                    "warmup": min(100, plan.steps // 10),
                    "final_lr": plan.final_lr,
                }
            ],
            "generate": {"steps": plan.sampler_steps, "guidance": 1.0},
            "log_every": max(1, plan.steps // 50),
            "save_every": max(500, plan.steps // 4),
            "keep_last": 1,
        }
    )


def run(variant: Variant, plan: Plan, out: Path, results: Path) -> dict[str, Any]:
    """Train and sample one variant; returns what it took. A run that was stopped goes on from its checkpoint."""
    home = out / "sets" / variant.name
    latents = LatentSet(find_latents(home))
    settings = settings_of(variant, plan, largest(latents))
    began, busy = time.perf_counter(), time.process_time()
    summary = train(settings, home, 1)
    trained, trained_busy = time.perf_counter() - began, time.process_time() - busy
    made = sample(settings, home, latents)
    told = {
        "variant": variant.name,
        "plan": asdict(plan),
        **{name: summary[name] for name in ("device", "parameters", "steps_now", "losses")},
        "train_s": round(trained, 1),
        "train_cpu_s": round(trained_busy, 1),
        "sample_s": round(time.perf_counter() - began - trained, 1),
        "sample_cpu_s": round(time.process_time() - busy - trained_busy, 1),
        "device_name": torch.cuda.get_device_name() if summary["device"].startswith("cuda") else "cpu",
        "torch": torch.__version__,
    }
    results.mkdir(parents=True, exist_ok=True)
    save_file(dict(made), file_of(variant, results), metadata={"run": json.dumps(told)})
    return told


def file_of(variant: Variant, results: Path) -> Path:
    """Where the samples of a variant lie."""
    return results / f"{variant.name}.safetensors"


def told_by(path: Path) -> dict[str, Any]:
    """What `run` said when it wrote the samples."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["run"])


def steps_a_second(variant: Variant, plan: Plan, out: Path) -> float:
    """The rate of a short trial that leaves nothing behind; its first steps, which warm up, do not count."""
    trial = replace(plan, steps=2 * _TRIAL)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "latents").symlink_to((out / "sets" / variant.name / "latents").resolve())
        latents = LatentSet(find_latents(home))
        settings = settings_of(variant, trial, largest(latents)).model_copy(update={"log_every": _TRIAL})
        return float(train(settings, home, 1)["losses"][-1]["samples_per_s"]) / plan.clips


def largest(latents: LatentSet) -> int:
    """Tokens of the largest clip of the set, in the task of all streams."""
    return max(tokens_of(info, TASKS["T2AV"]) for info in latents.samples())


def sample(settings: TrainSettings, home: Path, latents: LatentSet) -> Mapping[str, torch.Tensor]:
    """Raw latents of one sample a caption, from the averaged weights."""
    device = join_world(settings.device).device
    model, _ = load_averaged(settings, home, 1, latents, device)
    readings = readings_of(latents, settings.objective, device)
    keys = latents.keys("train")
    documents = [_document(latents, key, n) for n, key in enumerate(keys)]
    g = settings.generate
    made = sample_documents(model, documents, readings, g.steps, g.guidance, settings.precision)
    found = {}
    for key, sampled in zip(keys, made, strict=True):
        assert sampled.video is not None and sampled.audio is not None
        found[f"{key}.video"] = raw(latents.video_stats, sampled.video)
        found[f"{key}.audio"] = raw(latents.audio_stats, sampled.audio)
    return found


def raw(stats: ChannelStats, normalised: torch.Tensor) -> torch.Tensor:
    """What `klear-train generate` decodes."""
    return stats.within(stats.denormalise(normalised)).contiguous()


def _document(latents: LatentSet, key: str, n: int) -> Document:
    """A clip's captions at sigma 1: of its latents the model sees the shapes alone."""
    sample = latents.load(key)
    video = draw_normal(SAMPLING_SEED, n, "noise_v", tuple(sample.video.shape))
    audio = draw_normal(SAMPLING_SEED, n, "noise_a", tuple(sample.audio.shape))
    return Document(sample, TASKS["T2AV"], Conditions(1.0, 1.0, video, audio))
