"""Files that play: kept clips copied out of their shards, rejected ones rendered small. All under OUT/report/clips."""

from collections.abc import Mapping
from operator import methodcaller
from typing import Any

from manifests import files
from manifests.errors import KlearError
from manifests.files import AnyPath
from media.encode import EncodeRecipe, encode_bytes
from pipeline.jobs import tars
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store

SMALL = EncodeRecipe(preset="veryfast", crf=26, box=(426, 320))


def extract(out: AnyPath, sample: Mapping[str, Any]) -> AnyPath:
    """Copy a sample's MP4 out of its shard by the index: one read, whatever the shard's size; the file's path.

    sample: clip_id, generation, shard, offset, size. Raises KlearError `report:shard` when it is not there.
    """
    name = f"{sample['clip_id'].hex()}.mp4"
    target = _folder(out) / name
    shard = out / "shards" / sample["generation"] / sample["shard"]
    try:
        data = tars.member(files.read_range(shard, sample["offset"], sample["size"]), name)
    except OSError as error:
        raise KlearError("report:shard", f"{shard} cannot be read: {error}") from None
    if data is None:
        raise KlearError("report:shard", f"{shard} does not hold {name} where its index says: run `klear verify`")
    files.replace(target, methodcaller("write", data))
    return target


def render_small(
    out: AnyPath, clip: Mapping[str, Any], store: Store, folder: str = "clips"
) -> tuple[AnyPath | None, str]:
    """Render a clip that may be in no shard small, once; its path, or None and why it cannot be rendered.

    folder: below OUT/report. `tidy` clears only the default one.
    """
    target = out / "report" / folder / f"rejected-{clip['clip_id'].hex()}.mp4"
    if files.exists(target):
        return target, ""
    try:
        data = encode_bytes(clip_of(clip, store), SMALL)
    except KlearError as error:
        return None, f"{error.code}: {error.message}"
    files.replace(target, methodcaller("write", data))
    return target, ""


def tidy(out: AnyPath, keep: set[str]) -> None:
    """Remove clips of an earlier report that this one does not show. keep: names of the videos that it shows."""
    for name in files.names(_folder(out)):
        if f"{name.rpartition('.')[0]}.mp4" not in keep:
            files.remove(_folder(out) / name)


def _folder(out: AnyPath) -> AnyPath:
    return out / "report" / "clips"
