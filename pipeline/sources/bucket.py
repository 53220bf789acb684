"""Objects of S3-compatible and Google buckets, through fsspec: listed a page at a time, fetched in ranges.

Credentials and endpoint come from the usual environment variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST ...).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from manifests.errors import ConfigError, KlearError, MachineError, MediaError
from pipeline.config import SourceSettings
from pipeline.sources import retry
from pipeline.sources.partial import Partial
from pipeline.sources.uris import bucket_key, scheme_of

T = TypeVar("T")
Object = tuple[str, int, str]
"""Key (`bucket/name`), bytes, version."""
_RANGE = 8 << 20
_LEAST = 1 << 15
_OURS = ("botocore", "aiobotocore", "aiohttp", "urllib3", "requests", "gcsfs", "google", "fsspec")
_DENIED = frozenset({"AccessDenied", "403", "AllAccessDisabled", "InvalidObjectState"})


def filesystem(scheme: str) -> Any:
    """The fsspec filesystem of `s3` or `gs`; asked for anew each time, since it does not survive a fork."""
    import fsspec

    return fsspec.filesystem("gs" if scheme == "gcs" else scheme, use_listings_cache=False)


def objects(scheme: str, prefix: str, settings: SourceSettings) -> Iterator[Object]:
    """All objects whose key (`bucket/name`) starts with `prefix`, in the bucket's own order (of their bytes).

    One page is held at a time. Raises ConfigError for a bucket that is not there or not ours to list.
    """
    name, _, start = prefix.partition("/")
    pages = _s3_page if scheme == "s3" else _gs_page
    token: str | None = None
    while True:
        found, token = _listed(lambda token=token: pages(filesystem(scheme), name, start, token), prefix, settings)  # type: ignore[misc]
        for key, size, version in found:
            if not key.endswith("/"):  # a folder that a console made
                yield f"{name}/{key}", size, version
        if not token:
            return


def _listed(ask: Callable[[], T], prefix: str, settings: SourceSettings) -> T:
    try:
        return asked(ask, prefix, settings)
    except MediaError as error:
        message = f"bucket {prefix.partition('/')[0]!r}: {error.message}; check its name and the credentials"
        raise ConfigError("source:missing", message) from None


def _s3_page(fs: Any, name: str, start: str, token: str | None) -> tuple[list[Object], str | None]:
    more = {"ContinuationToken": token} if token else {}
    page = fs.call_s3("list_objects_v2", Bucket=name, Prefix=start, **more)
    found = [(item["Key"], item["Size"], _version(item)) for item in page.get("Contents", [])]
    return found, page.get("NextContinuationToken")


def _gs_page(fs: Any, name: str, start: str, token: str | None) -> tuple[list[Object], str | None]:
    more = {"pageToken": token} if token else {}
    page = fs.call("GET", "b/{}/o", name, prefix=start, maxResults=1000, json_out=True, **more)
    found = [(item["name"], int(item["size"]), _version(item)) for item in page.get("items", [])]
    return found, page.get("nextPageToken")


def _version(info: dict[str, Any]) -> str:
    """Of S3 the entity tag; of Google the hash, which does not change with an object's metadata."""
    tag = info.get("ETag") or info.get("md5Hash") or info.get("crc32c") or info.get("etag") or ""
    return f"etag:{str(tag).strip(chr(34))}" if tag else ""


def look(uri: str, settings: SourceSettings) -> tuple[int, str]:
    """Bytes and version of an object now. Raises as `asked`."""
    key = bucket_key(uri)
    info = asked(lambda: filesystem(scheme_of(uri)).info(key, refresh=True), key, settings)
    if info["type"] != "file":
        raise MediaError("source:gone", f"{key} is no object")
    return int(info["size"]), _version(info)


def open_object(uri: str, block: int) -> IO[bytes]:
    """An object as a seekable file, read `block` bytes at a time."""
    file: IO[bytes] = filesystem(scheme_of(uri)).open(bucket_key(uri), "rb", block_size=block, cache_type="readahead")
    return file


def download(
    uri: str, version: str, into: Path, settings: SourceSettings, start: int = 0, size: int | None = None
) -> str:
    """Fetch an object, or `size` bytes of it from `start`, to `into`; the version that was fetched.

    version: what was listed, "" for any. Goes on with the bytes of that version that are there already. Raises
    MediaError `media:changed`, `source:too_big`, `source:too_slow`, and as `asked`.
    """
    partial, key = Partial(into), bucket_key(uri)
    whole, now = look(uri, settings)
    _check(key, version, now)
    size = whole if size is None else size
    if size > settings.max_gb * 1e9:
        raise MediaError("source:too_big", f"{key} has {size} bytes, over sources.max_gb = {settings.max_gb:g}")
    if partial.version() != now or partial.have() > size:
        partial.start(now)
    reader, until = _Reader(uri), time.monotonic() + settings.max_seconds
    while (have := partial.have()) < size:
        if time.monotonic() > until:
            raise MediaError(
                "source:too_slow", f"{key}: {have} bytes in sources.max_seconds = {settings.max_seconds:g}"
            )
        data = asked(lambda have=have: reader.read(start + have, start + size), key, settings)  # type: ignore[misc]
        if not data:
            raise MediaError("media:changed", f"{key} ends early: it was replaced while it was read")
        with into.open("ab") as file:
            file.write(data)
    _check(key, now, look(uri, settings)[1])
    return now


@dataclass
class _Reader:
    """Reads an object in ranges: shorter ones after a failure, so that a bad line gets on too, then longer again."""

    uri: str
    length: int = field(default_factory=lambda: _RANGE)

    def read(self, begin: int, end: int) -> bytes:
        """Bytes from `begin` on, at most to `end`."""
        try:
            data = _ranged(self.uri, begin, min(end, begin + self.length))
        except Exception:
            self.length = max(_LEAST, self.length // 8)
            raise
        self.length = min(_RANGE, 2 * self.length)
        return data


def _ranged(uri: str, begin: int, end: int) -> bytes:
    data: bytes = filesystem(scheme_of(uri)).cat_file(bucket_key(uri), start=begin, end=end)
    return data


def _check(key: str, wanted: str, now: str) -> None:
    if wanted and now != wanted:
        raise MediaError("media:changed", f"{key} is {now} now and was {wanted}: ingest it again")


def asked(ask: Callable[[], T], name: str, settings: SourceSettings) -> T:
    """What the bucket answers, asked again while the network or the service fails.

    Raises MediaError `source:gone`, `source:forbidden`; MachineError `source:network`, `source:credentials`.
    """
    return retry.again(lambda: _once(ask, name), settings)


def _once(ask: Callable[[], T], name: str) -> T:
    try:
        return ask()
    except KlearError:
        raise
    except FileNotFoundError as error:
        raise MediaError("source:gone", f"{name} is not there: {error}") from None
    except PermissionError as error:
        if _code(error) in _DENIED:
            raise MediaError("source:forbidden", f"{name}: {error}") from None
        raise MachineError("source:credentials", f"{name}: {error}; check the credentials") from error
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _OURS:
            raise
        raise retry.Transient(MachineError("source:network", f"{name}: {type(error).__name__}: {error}")) from error


def _code(error: Exception) -> str:
    """The service's own word for the error, as botocore keeps it; without one, plainly denied."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "403")) if isinstance(response, dict) else "403"
