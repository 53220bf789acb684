"""Uris of sources: what stands in the tables for a file, an object, a page or a member of a tar.

    file:///videos/a%20b.mp4            s3://bucket/videos/a.mp4       gs://bucket/videos/a.mp4
    https://example.org/a.mp4           ytdlp:https://example.org/page
    file:///shards/00.tar#clip/1.mp4    a member of a tar, after the fragment mark

Everything outside of plain ASCII is percent-encoded, so that any name comes back as the same bytes.
"""

import os
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from manifests.errors import MediaError

BUCKETS = frozenset({"s3", "gs", "gcs"})
WEB = frozenset({"http", "https"})
YTDLP = "ytdlp"
_SAFE = "/~!$&'()*+,;=:@"


def file_uri(path: str | bytes) -> str:
    """The uri of an absolute local path, whatever bytes are in it."""
    return "file://" + quote(os.fsencode(path), safe="/")


def bucket_uri(scheme: str, key: str) -> str:
    """The uri of an object, `key` being `bucket/name`."""
    return f"{scheme}://{quote(key, safe=_SAFE)}"


def member_uri(tar: str, member: str) -> str:
    """The uri of a member of the tar at uri `tar`."""
    return f"{tar}#{quote(member.encode('utf-8', 'surrogateescape'), safe=_SAFE)}"


def scheme_of(uri: str) -> str:
    """`file`, `s3`, `gs`, `http`, `https`, `ytdlp`."""
    return uri.partition(":")[0]


def split_member(uri: str) -> tuple[str, str | None]:
    """The uri of the container, and the name of the member in it; None for a source that is not in a tar."""
    outer, mark, member = uri.partition("#")
    return outer, unquote(member, errors="surrogateescape") if mark else None


def local_path(uri: str) -> Path:
    """The local file behind a `file://` uri. Raises MediaError for another scheme."""
    if scheme_of(uri) != "file":
        raise MediaError("source:scheme", f"{uri} is no file on this machine")
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://").partition("#")[0])))


def bucket_key(uri: str) -> str:
    """`bucket/name` of the uri of an object."""
    return unquote(uri.partition("#")[0].partition("://")[2])


def host_of(url: str) -> str:
    """The host of a web address, with its port when it is not the scheme's own."""
    parts = urlsplit(url)
    port = parts.port
    return (parts.hostname or "") + (
        f":{port}" if port and port != {"http": 80, "https": 443}.get(parts.scheme) else ""
    )
