"""The JSON of a triplet: what the shard says of a clip beside its MP4. Plain, sorted, rounded, free of this machine."""

import json
import math
from collections.abc import Mapping
from typing import Any

from manifests.ids import unit

DIGITS = 6


def split_of(source_id: bytes, val: float, test: float) -> str:
    """train, val or test: by source, so that clips of one source never meet across splits."""
    place = unit(source_id, "split")
    return "val" if place < val else "test" if place < val + test else "train"


def describe(clip: Mapping[str, Any], split: str, recipes: Mapping[str, str]) -> dict[str, Any]:
    """The sample's JSON, from one row of clip, source, verdict and all stage columns (named `<stage>.<column>`)."""
    texts = {
        "audio": clip["compose.texts.audio_text"],
        "speech": clip["compose.texts.speech_text"],
        "video": clip["compose.texts.video_text"],
        "dense": clip["compose.texts.dense_text"],
        "short": clip["compose.texts.short_text"],
    }
    return {
        "clip_id": clip["clip_id"].hex(),
        "source_id": clip["source_id"].hex(),
        "source": _source(clip),
        "start_s": clip["start_us"] / 1e6,
        "duration_s": clip["frames"] * clip["fps_den"] / clip["fps_num"],
        "fps": clip["fps_num"] / clip["fps_den"],
        "frames": clip["frames"],
        "width": clip["width"],
        "height": clip["height"],
        "split": split,
        "audio_class": clip["audio_class"] or "unknown",  # a preset may not measure it
        "tasks": clip["tasks"],
        "texts": {name: text or "" for name, text in texts.items()},
        "words": clip["compose.texts.words"] or [],
        "language": clip["compose.texts.language"],
        "measures": _by_stage(clip),
        "recipes": dict(recipes),
    }


def _source(clip: Mapping[str, Any]) -> dict[str, Any]:
    """Where the clip comes from and on what terms; the list's other columns under `extra`, if it has any."""
    named = {name: clip[name] for name in ("name", "licence", "attribution", "url")}
    return {**named, "extra": json.loads(clip["extra"])} if clip.get("extra") else named


def dump(sample: Mapping[str, Any]) -> bytes:
    """Canonical JSON bytes: sorted keys, floats rounded to 6 digits, not-a-number as null."""
    return json.dumps(_rounded(sample), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _by_stage(clip: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in clip.items():
        stage, dot, column = name.rpartition(".")
        if dot and value is not None and stage != "compose.texts":
            found.setdefault(stage, {})[column] = value
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
