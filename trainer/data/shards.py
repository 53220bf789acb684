"""Where the members of a WebDataset tar lie, so that any of them is one seek and one read away."""

import tarfile
from dataclasses import dataclass

from manifests.errors import KlearError
from manifests.files import AnyPath, read_range


@dataclass(frozen=True)
class Member:
    """One file of a sample: `<key>.<kind>`, `size` bytes from `offset` of the tar at `path`."""

    path: AnyPath
    offset: int
    size: int

    def read(self) -> bytes:
        """Its bytes."""
        return read_range(self.path, self.offset, self.size)


def samples(path: AnyPath) -> dict[str, dict[str, Member]]:
    """Members by sample key, in tar order, and by kind (all after the first dot: `mp4`, `latents.safetensors`).

    Only headers are read. Raises KlearError `encode:shard` for a tar that is damaged or cut short.
    """
    found: dict[str, dict[str, Member]] = {}
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file) as tar:
            for info in tar:
                key, _, kind = info.name.partition(".")
                found.setdefault(key, {})[kind] = Member(path, info.offset_data, info.size)
    except tarfile.TarError as error:
        raise KlearError("encode:shard", f"{path} is not a whole tar ({error}): remove it and shard again") from None
    return found
