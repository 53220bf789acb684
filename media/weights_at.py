"""Where weights that no package ships are looked for, and what is said when they are not there."""

import os
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import BackendAbsent
from media.weights import sha256_of


def below(name: str) -> Path:
    """A file or folder where weights belong: below $KLEAR_WEIGHTS, by default ./weights."""
    return Path(os.environ.get("KLEAR_WEIGHTS", "weights")) / name


@dataclass(frozen=True)
class Published:
    """A weight file that a user fetches. stage: who wants it. folder: below $KLEAR_WEIGHTS (default ./weights)."""

    stage: str
    folder: str
    name: str
    url: str
    licence: str

    def path(self, given: str | None = None) -> Path:
        """`given`, or where it belongs."""
        return Path(given) if given else below(self.folder) / self.name

    def digest(self, given: str | None = None) -> str:
        """Hex sha256 of the file. Raises BackendAbsent backend:weights when it is not there."""
        path = self.path(given)
        if not path.is_file():
            raise BackendAbsent(
                "backend:weights",
                f"{self.stage} has no weights: put {self.url} ({self.licence}) at {path}, or remove {self.stage} from "
                "the preset's stages: what it would say stays empty",
            )
        return sha256_of(path)


@dataclass(frozen=True)
class Folder:
    """A model's folder as transformers writes it. stage: who wants it. name: below $KLEAR_WEIGHTS. model: whose it is,
    with its licence."""

    stage: str
    name: str
    model: str

    def path(self, given: str | None = None) -> Path:
        """`given`, or where it belongs. Raises BackendAbsent backend:weights when it is not there."""
        folder = Path(given) if given else below(self.name)
        if not (folder / "config.json").is_file():
            raise BackendAbsent(
                "backend:weights",
                f"{self.stage} has no {self.name}: put the folder of {self.model} at {folder}, or remove {self.stage} "
                "from the preset's stages: what it would say stays empty",
            )
        return folder

    def digest(self, given: str | None = None) -> str:
        """Hex sha256 of its weights. Raises BackendAbsent as `path`, or when it holds none."""
        folder = self.path(given)
        for name in ("model.safetensors", "pytorch_model.bin"):
            if (folder / name).is_file():
                return sha256_of(folder / name)
        raise BackendAbsent("backend:weights", f"{folder} holds neither model.safetensors nor pytorch_model.bin")
