"""`generate`: playable samples of the five tasks, .mp4 with sound, .mp4 without, .wav."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import torch

from manifests.errors import ConfigError
from manifests.files import replace as replace_file
from media.writer import write_mp4, write_wav
from pipeline import console
from trainer.base import open_latents
from trainer.clocks import AUDIO_HOP, AUDIO_RATE, VIDEO_FPS, audio_latents_for, video_frames, video_latents_for
from trainer.codecs import audio_codec, video_codec
from trainer.codecs.stats import ChannelStats
from trainer.data.draws import draw_normal
from trainer.data.index import Rows
from trainer.data.latents import LatentSet
from trainer.data.sample import Sample
from trainer.documents import Conditions, Document
from trainer.evaluate import load_averaged
from trainer.export.pretrained import load_pretrained
from trainer.model.mmdit import MMDiT
from trainer.parallel import ParallelSettings, World, join_world, parallelize
from trainer.patches import CELL
from trainer.readings import readings_of
from trainer.sampler import Sampled, sample_documents
from trainer.settings import TrainSettings
from trainer.space import Space
from trainer.tasks import TASKS, Task, task_named


@dataclass(frozen=True)
class Request:
    """One sample to make. seconds: its duration, on the video frame grid. prompt: texts, for the record."""

    name: str
    document: Document
    seconds: float
    prompt: Mapping[str, str]


def generate(
    settings: TrainSettings,
    out: Path,
    stage: int,
    prompts: Sequence[str] = (),
    tasks: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Sample the averaged weights of a stage into OUT/samples/stage-<n>/ with samples.json; returns what it holds.

    Without prompts: every task, captioned (and given its first frame) by held-out clips, by training clips where too
    few are held out. Each prompt is the caption of both media, for T2AV or for `tasks`.
    Raises ConfigError when the stage has no checkpoint, or a task needs a first frame and only a prompt is given.
    """
    began = time.perf_counter()
    device = join_world(settings.device).device
    latents = open_latents(settings, out)
    model, progress = load_averaged(settings, out, stage, latents, device, lean=True)
    wanted = [task_named(name) for name in tasks or (["T2AV"] if prompts else TASKS)]
    requests = _prompted(latents, settings, prompts, wanted) if prompts else _from_clips(latents, settings, wanted)
    made = _make(model, requests, settings, latents)
    folder = out / "samples" / (f"stage-{stage}-prompted" if prompts else f"stage-{stage}")
    rows = _write_all(folder, requests, made, latents)
    return {
        "stage": stage,
        "step": progress.step,
        "folder": str(folder.relative_to(out)),
        "samples": rows,
        "seconds": round(time.perf_counter() - began, 2),
    }


def generate_from(
    export: Path, to: Path, prompts: Sequence[str], tasks: Iterable[str] | None = None, sets: Iterable[str] = ()
) -> dict[str, Any]:
    """Sample an exported model into `to`, without the folder it was trained in. Each prompt is the caption of both
    media, for T2AV or for `tasks`; sets: key=value on top of the export's settings.

    Raises ConfigError as `load_pretrained` does, without a prompt, and for a task that needs a first frame.
    """
    began = time.perf_counter()
    if not prompts:
        raise ConfigError("generate:prompt", "an export holds no clips to take captions from: give --prompt")
    pretrained = load_pretrained(export, join_world("auto").device, sets, lean=True)
    wanted = [task_named(name) for name in tasks or ["T2AV"]]
    requests = _prompted(pretrained.space, pretrained.settings, prompts, wanted)
    made = _make(pretrained.model, requests, pretrained.settings, pretrained.space)
    rows = _write_all(to, requests, made, pretrained.space)
    facts = pretrained.config["training"]
    return {
        "stage": facts["stage"],
        "step": facts["step"],
        "folder": str(to),
        "samples": rows,
        "seconds": round(time.perf_counter() - began, 2),
    }


def _make(model: MMDiT, requests: Sequence[Request], settings: TrainSettings, space: Space) -> list[Sampled]:
    g, precision, device = settings.generate, settings.precision, next(model.parameters()).device
    readings = readings_of(space, settings.objective, device, settings.model.patch)
    documents = [request.document for request in requests]
    parallelize(model, World(0, 1, device), ParallelSettings(compile=g.compile), precision)
    with console.ticking(f"generate {len(documents)} samples", g.steps, "steps") as ticker:
        return sample_documents(model, documents, readings, g.steps, g.guidance, precision, ticker.advance, g.reuse)


def _write_all(
    folder: Path, requests: Sequence[Request], made: Sequence[Sampled], space: Space
) -> list[dict[str, Any]]:
    """Decode and write the samples and samples.json, whose rows these are."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_write(folder, request, sampled, space) for request, sampled in zip(requests, made, strict=True)]
    note = (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()
    replace_file(folder / "samples.json", methodcaller("write", note))
    return rows


def _from_clips(latents: LatentSet, settings: TrainSettings, wanted: Sequence[Task]) -> list[Request]:
    g = settings.generate
    pools = [latents.samples(split) for split in dict.fromkeys((g.split, "train"))]
    requests: list[Request] = []
    for place, task in enumerate(wanted):
        able = np.concatenate([_serving(pool, task.name) for pool in pools])
        if not len(able):
            raise ConfigError("generate:task", f"no clip can serve {task.name}: leave it out with --task")
        # Different tasks start at different clips, so that five samples show more than one of them.
        for n in range(g.samples):
            key = latents.index.key(int(able[(place + n) % len(able)]))
            sample = latents.load(key)
            texts = latents.texts(key)
            name = f"{task.name}-{key}" + (f"-{n}" if g.samples > 1 else "")
            requests.append(Request(name, _document(sample, task, settings, n), _seconds(sample), texts))
    return requests


def _serving(samples: Rows, task: str) -> np.ndarray:
    """Rows of the samples that can serve a task, of whatever class, sorted: int64 (n,)."""
    found = [samples.serving(*cell) for cell in samples.counts if cell[1] == task]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *found]))


def _prompted(latents: Space, settings: TrainSettings, prompts: Sequence[str], wanted: Sequence[Task]) -> list[Request]:
    from trainer.text import text_encoder

    stills = [task.name for task in wanted if task.clean]
    if stills:
        raise ConfigError("generate:still", f"{stills[0]} needs a first frame, which a prompt has not: use T2AV")
    encoder = text_encoder(latents.settings.get("text_encoder", "minilm"), latents.settings.get("text_weights"))
    requests = []
    for n, (prompt, features) in enumerate(zip(prompts, encoder.encode(list(prompts)), strict=True)):
        sample = _blank(latents, settings, features, n)
        for task in wanted:
            document = _document(sample, task, settings, n)
            requests.append(
                Request(f"{task.name}-prompt-{n}", document, _seconds(sample), {"video": prompt, "audio": prompt})
            )
    return requests


def _blank(latents: Space, settings: TrainSettings, features: torch.Tensor, n: int) -> Sample:
    """A sample with nothing but captions, of the asked duration and the first of the trained picture sizes."""
    count = video_latents_for(settings.generate.duration_s)
    trained = latents.settings
    width, height = (trained.get("sizes") or [(trained["width"], trained["height"])])[0]
    sound = audio_latents_for(video_frames(count) / VIDEO_FPS)
    return Sample(
        key=f"prompt-{n}",
        split="",
        audio_class="",
        tasks=(),
        video=torch.zeros(count, height // CELL, width // CELL, settings.model.video_channels),
        audio=torch.zeros(sound, settings.model.audio_channels),
        video_text=features,
        audio_text=features,
        speech=torch.empty(0, dtype=torch.uint8),
    )


def _document(sample: Sample, task: Task, settings: TrainSettings, n: int) -> Document:
    """At sigma 1, with noise of its own: a function of seed and number. A prompt's unknown transcript is null."""
    video = draw_normal(settings.seed, n, "noise_v", tuple(sample.video.shape))
    audio = draw_normal(settings.seed, n, "noise_a", tuple(sample.audio.shape))
    return Document(sample, task, Conditions(1.0, 1.0, video, audio, drop_transcript=not sample.split))


def _seconds(sample: Sample) -> float:
    return video_frames(len(sample.video)) / VIDEO_FPS


def _write(folder: Path, request: Request, sampled: Sampled, latents: Space) -> dict[str, Any]:
    """Decode and write one sample; its row for samples.json."""
    sound = None if sampled.audio is None else _sound(sampled.audio, request.seconds, latents)
    row = {"task": request.document.task.name, "seconds": request.seconds, "prompt": dict(request.prompt)}
    if sampled.video is None:
        path = folder / f"{request.name}.wav"
        write_wav(path, sound if sound is not None else np.zeros(0, np.float32), AUDIO_RATE)
        return row | {"file": path.name, "rate": AUDIO_RATE}
    codec = video_codec(latents.settings["video_codec"], latents.settings.get("video_weights"))
    frames = codec.decode(_raw(latents.video_stats, sampled.video))
    path = folder / f"{request.name}.mp4"
    write_mp4(path, frames, VIDEO_FPS, sound, AUDIO_RATE)
    row |= {"file": path.name, "fps": VIDEO_FPS, "frames": len(frames), "size": [frames.shape[2], frames.shape[1]]}
    return row if sound is None else row | {"rate": AUDIO_RATE}


def _raw(stats: ChannelStats, normalised: torch.Tensor) -> torch.Tensor:
    return stats.within(stats.denormalise(normalised))


def _sound(audio: torch.Tensor, seconds: float, latents: Space) -> np.ndarray:
    """Float32 samples of exactly this duration, padded with silence where the latents end a little short."""
    codec = audio_codec(latents.settings["audio_codec"], latents.settings.get("audio_weights"))
    length = round(seconds * AUDIO_RATE)
    held = min(length, len(audio) * AUDIO_HOP)
    samples = codec.decode(_raw(latents.audio_stats, audio), held)
    return np.pad(samples, (0, length - held)).astype(np.float32)
