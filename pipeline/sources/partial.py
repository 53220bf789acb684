"""A download that is not whole yet: its bytes so far, and the version that they are of, so that it can go on."""

import json
from dataclasses import dataclass
from pathlib import Path

from manifests.files import replace


@dataclass(frozen=True)
class Partial:
    """The file `path` and the note beside it. It outlives the process that wrote it."""

    path: Path

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".json")

    def have(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def version(self) -> str:
        """What the bytes are of; "" when that is not known, so that they are worth nothing."""
        try:
            return str(json.loads(self._note.read_bytes())["version"])
        except (FileNotFoundError, ValueError, KeyError):
            return ""

    def start(self, version: str) -> None:
        """Begin anew, with bytes of this version ("" for one that cannot be gone on with)."""
        self.discard()
        self.path.touch()
        replace(self._note, lambda file: file.write(json.dumps({"version": version}).encode()))

    def discard(self) -> None:
        """Throw the bytes away."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
