"""The one place that touches storage: atomic writes, listings and reads, on a disk or in a bucket, with finite retries.

On a disk a file is written beside its place, synced and linked; in a bucket it is put under a condition (S3 and GCS
have no rename). Either way it appears whole or not at all, and the first writer wins.
"""

import contextlib
import errno
import os
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from upath import UPath

from manifests.errors import ConfigError, KlearError

AnyPath = Path
"""A place on a disk (pathlib.Path) or in a bucket (upath.UPath, which has the same methods): `s3://...`, `gs://...`."""

TRIES = 6
_FIRST_PAUSE_S = 0.1
_TRANSIENT = {
    *(errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET),
    *(errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH),
    *(errno.EHOSTDOWN, errno.EREMOTEIO),
}
_NETWORK = ("botocore", "aiobotocore", "aiohttp", "urllib3", "requests", "gcsfs", "google")
_ANSWERS = {"FileNotFoundError", "FileExistsError", "PermissionError", "NotADirectoryError", "IsADirectoryError"}

_FRESH = {"use_listings_cache": False}
"""Others write too: a listing that is remembered is a lie."""
_FEW = {"max_concurrency": 4}
"""Pieces (50 MB) of a large upload that are in memory at a time; s3fs takes ten."""

T = TypeVar("T")


def root(text: str | Path) -> AnyPath:
    """The folder that a user named, there or not: a local path made absolute, or a bucket's uri.

    Raises ConfigError `out:not_a_folder` for a file, and for what would lie below one.
    """
    if "://" not in str(text) or str(text).startswith("file://"):
        return _checked(Path(str(text).removeprefix("file://")).absolute())
    options: dict[str, Any] = _FRESH | (_FEW if str(text).startswith("s3") else {})
    place: Any = UPath(str(text).rstrip("/"), **options)
    return place


def _checked(place: Path) -> Path:
    found = next((path for path in (place, *place.parents) if os.path.lexists(path)), place)
    if os.path.lexists(found) and not os.path.isdir(found):  # noqa: PTH112
        raise ConfigError("out:not_a_folder", f"{found} is not a folder: give another place than {place}")
    return place


def relative(path: AnyPath, folder: AnyPath) -> str:
    """The name of a place below `folder`, with slashes."""
    return str(path).removeprefix(str(folder)).lstrip("/")


def is_local(path: AnyPath) -> bool:
    """True for a place on a disk of this machine (or mounted there)."""
    return isinstance(path, Path)


def again(what: Callable[[], T], name: object) -> T:
    """`what()`, tried again after transient errors, at most TRIES times in all, with growing pauses.

    Raises KlearError `store:full`, `store:read_only` in place of their OSErrors, and the last error of the rest.
    """
    for attempt in range(TRIES):
        try:
            return what()
        except Exception as error:
            if attempt + 1 == TRIES or not _is_transient(error):
                if (told := _explained(error, name)) is error:
                    raise
                raise told from error
            time.sleep(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def _is_transient(error: Exception) -> bool:
    if type(error).__name__ in _ANSWERS:
        return False
    if isinstance(error, OSError):
        return error.errno in _TRANSIENT or isinstance(error, ConnectionError | TimeoutError)
    return type(error).__module__.partition(".")[0] in _NETWORK


def _explained(error: Exception, name: object) -> Exception:
    code = error.errno if isinstance(error, OSError) else None
    if code in {errno.ENOSPC, errno.EDQUOT}:
        return KlearError("store:full", f"no space left to write {name}: free some, then run the same command again")
    if code in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return KlearError("store:read_only", f"{name} cannot be written ({error}): give another place, or the right to")
    return error


def publish(path: AnyPath, write: Callable[[BinaryIO], object]) -> bool:
    """Create `path` from what `write` writes, whole or not at all. False when it was there already (left untouched)."""
    if exists(path):
        return False
    if is_local(path):
        return again(lambda: _link(path, write), path)
    with _spooled(write) as file:
        try:
            again(lambda: system(path).put_file(file.name, str(path), mode="create"), path)
        except Exception as error:
            if _is_refused(error):
                return False
            raise
    return True


def _is_refused(error: BaseException) -> bool:
    """Whether a store says that the condition of a put did not hold; s3fs knows only how Amazon says it."""
    answer = getattr(error.__cause__, "response", None) or {}
    return isinstance(error, FileExistsError) or answer.get("Error", {}).get("Code") in {"PreconditionFailed", "412"}


def system(path: AnyPath) -> Any:
    """The fsspec filesystem of a place in a bucket."""
    return path.fs  # type: ignore[attr-defined]


def _link(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    with _written(path, write) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    _sync(path.parent)
    return True


def replace(path: AnyPath, write: Callable[[BinaryIO], object]) -> None:
    """Like `publish`, but the newest writer wins: for pointers to immutable files, never for tables."""
    if is_local(path):
        return again(lambda: _swap(path, write), path)
    with _spooled(write) as file:
        return again(lambda: system(path).put_file(file.name, str(path)), path)


def _swap(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with _written(path, write) as temporary:
        os.replace(temporary, path)  # noqa: PTH105
    _sync(path.parent)


@contextlib.contextmanager
def _spooled(write: Callable[[BinaryIO], object]) -> Iterator[IO[bytes]]:
    """A local file with what `write` writes: an upload may have to be done again."""
    with tempfile.NamedTemporaryFile(prefix="klear-put-") as file:
        write(file)  # type: ignore[arg-type]
        file.flush()
        yield file


@contextlib.contextmanager
def _written(path: Path, write: Callable[[BinaryIO], object]) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def publish_folder(partial: Path, final: Path) -> None:
    """Give a written local folder its final name, once all its files are on the disk; an older one of that name gives
    way. A reader sees all of a folder or nothing."""
    old = final.with_name(f".old-{final.name}")
    shutil.rmtree(old, ignore_errors=True)
    for path in (*partial.iterdir(), partial):
        _sync(path)
    if final.exists():
        final.rename(old)
    partial.rename(final)
    _sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def exists(path: AnyPath) -> bool:
    """True when there is a file or folder at `path`."""
    return again(path.exists, path)


def read(path: AnyPath) -> bytes:
    """All bytes of a file, from a bucket in one request. Raises FileNotFoundError."""
    return again(path.read_bytes if is_local(path) else lambda: bytes(system(path).cat_file(str(path))), path)


def size(path: AnyPath) -> int:
    """Bytes of a file. Raises FileNotFoundError."""
    return again(lambda: int(path.stat().st_size), path)


def read_range(path: AnyPath, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`; fewer where the file ends before. Raises FileNotFoundError."""
    return again(lambda: _read_range(path, offset, size), path)


def _read_range(path: AnyPath, offset: int, size: int) -> bytes:
    if not is_local(path):
        found: bytes = system(path).cat_file(str(path), start=offset, end=offset + size)
        return found
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def remove(path: AnyPath) -> None:
    """Remove a file; no error when it is gone already."""
    with contextlib.suppress(FileNotFoundError):
        again(path.unlink, path)


def names(folder: AnyPath) -> list[str]:
    """Sorted names of the files directly in `folder`, by one listing; none when there is no such folder."""
    return sorted(name for name, is_folder in _entries(folder) if not is_folder and name[0] != ".")


def folders(folder: AnyPath) -> list[str]:
    """Sorted names of the folders directly in `folder`; none when there is no such folder."""
    return sorted(name for name, is_folder in _entries(folder) if is_folder)


def _entries(folder: AnyPath) -> list[tuple[str, bool]]:
    try:
        return again(lambda: _list(folder), folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _list(folder: AnyPath) -> list[tuple[str, bool]]:
    if is_local(folder):
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries]
    found: list[dict[str, Any]] = system(folder).ls(str(folder), detail=True, refresh=True)
    listed = [(entry["name"].rstrip("/").rpartition("/")[2], entry["type"] == "directory") for entry in found]
    return [(name, is_folder) for name, is_folder in listed if name]
