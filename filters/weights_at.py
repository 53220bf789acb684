"""Where weights that no package ships are looked for, and what is said when they are not there."""

import os
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import BackendAbsent
from media.weights import sha256_of


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
        return Path(given) if given else Path(os.environ.get("KLEAR_WEIGHTS", "weights")) / self.folder / self.name

    def digest(self, given: str | None = None) -> str:
        """Hex sha256 of the file. Raises BackendAbsent backend:weights when it is not there."""
        path = self.path(given)
        if not path.is_file():
            raise BackendAbsent(
                "backend:weights",
                f"{self.stage} has no weights: put {self.url} ({self.licence}) at {path}, or remove {self.stage} from "
                "the preset's stages: its gates stay unmeasured",
            )
        return sha256_of(path)
