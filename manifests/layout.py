"""What is fixed for the life of an output folder, written down by the first run in it: the number of buckets."""

import json
from operator import methodcaller

from manifests import files
from manifests.errors import ConfigError
from manifests.files import AnyPath

NAME = "layout.json"


def fixed(root: AnyPath) -> int | None:
    """The bits of a bucket's number that the first run wrote down; None before it."""
    path = root / NAME
    return int(json.loads(files.read(path))["bucket_bits"]) if files.exists(path) else None


def hold(root: AnyPath, bucket_bits: int) -> None:
    """Write down the layout of the tables below `root`, or check it against what the first run wrote.

    Raises ConfigError `out:bucket_bits`: buckets are part of every row and path, so they cannot change.
    """
    path = root / NAME
    note = json.dumps({"bucket_bits": bucket_bits}).encode()
    if not files.publish(path, methodcaller("write", note)):
        begun = fixed(root)
        if begun != bucket_bits:
            raise ConfigError(
                "out:bucket_bits",
                f"engine.bucket_bits = {bucket_bits}, but {root.parent} was begun with {begun}: "
                f"give --set engine.bucket_bits={begun}, or another OUT",
            )
