"""What a stage has spent of a budget that all processes share, without a database: a small file each.

OUT/cache/<stage>/spent/<writer>.txt    what one process has spent, in all
"""

import secrets
import threading
from dataclasses import dataclass, field
from operator import methodcaller

from manifests import files
from manifests.files import AnyPath

FOLDER = "spent"


@dataclass
class Spending:
    """What a stage has spent in an output folder, by all processes that ever did. folder: of the stage's answers.
    Threads may share it."""

    folder: AnyPath
    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    own: int = 0
    others: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> int:
        """Read what the others have spent; the sum."""
        names = [name for name in files.names(self.folder / FOLDER) if name != f"{self.writer}.txt"]
        self.others = sum(int(files.read(self.folder / FOLDER / name)) for name in names)
        return self.total

    @property
    def total(self) -> int:
        """What all had spent when they were last looked at, and this process until now."""
        return self.own + self.others

    def spend(self, amount: int) -> None:
        """Write down that so much more is spent."""
        with self._lock:
            self.own += amount
            told = str(self.own).encode()
            files.replace(self.folder / FOLDER / f"{self.writer}.txt", methodcaller("write", told))
