"""Files that play: kept clips copied out of their shards, rejected ones rendered small. All under OUT/report/clips."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.errors import KlearError
from media.encode import EncodeRecipe, encode_clip
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store

SMALL = EncodeRecipe(preset="veryfast", crf=26, box=(426, 320))


def extract(out: Path, sample: Mapping[str, Any]) -> Path:
    """Copy a sample's MP4 out of its shard by the index: one read, whatever the shard's size; the file's path.

    sample: clip_id, generation, shard, offset, size. Raises KlearError `report:shard` when it is not there.
    """
    name = f"{sample['clip_id'].hex()}.mp4"
    target = _folder(out) / name
    shard = out / "shards" / sample["generation"] / sample["shard"]
    try:
        with shard.open("rb") as file:
            file.seek(sample["offset"])
            data = file.read(sample["size"])
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            member = tar.extractfile(name)
            assert member is not None
            target.write_bytes(member.read())
    except (OSError, KeyError, tarfile.TarError) as error:
        raise KlearError("report:shard", f"{shard} does not hold {name} where its index says: {error}") from None
    return target


def render_small(out: Path, clip: Mapping[str, Any], store: Store) -> tuple[Path | None, str]:
    """Render a rejected clip small, once; its path, or None and why it cannot be rendered."""
    target = _folder(out) / f"rejected-{clip['clip_id'].hex()}.mp4"
    if target.is_file():
        return target, ""
    try:
        encode_clip(clip_of(clip, store), target, SMALL)
    except KlearError as error:
        return None, f"{error.code}: {error.message}"
    return target, ""


def tidy(out: Path, keep: set[Path]) -> None:
    """Remove clips of an earlier report that this one does not show."""
    for path in _folder(out).iterdir():
        if path.with_suffix(".mp4") not in keep:
            path.unlink()


def _folder(out: Path) -> Path:
    folder = out / "report" / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
