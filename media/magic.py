"""Does a file claim to be media? Its first bytes speak first, then its name: only then is failing to open it damage."""

from pathlib import Path

from manifests.errors import MediaError

# fmt: off
_NAMES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob",
    ".avi", ".flv", ".wmv", ".asf", ".mxf", ".ogv", ".m4a", ".mka", ".ogg", ".oga", ".opus", ".flac", ".wav",
    ".mp3", ".aac", ".ac3", ".aiff", ".aif", ".caf", ".au", ".amr", ".wv",
)
# fmt: on
_MEDIA_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"OggS",
    b"fLaC",
    b"FLV\x01",
    b"ID3",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF
    b"\x06\x0e+4",  # MXF
    b"caff",
    b"wvpk",
    b"#!AMR",
)
_OTHER_STARTS = (b"%PDF", b"PK\x03\x04", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"\x7fELF", b"#EXTM3U")


def check_file(path: Path) -> None:
    """Raise MediaError media:missing, media:not_media (a directory, a device) or media:empty; else return."""
    if not path.exists():
        raise MediaError("media:missing", f"{path.name} does not exist (a dangling link?)")
    if not path.is_file():
        raise MediaError("media:not_media", f"{path.name} is not a regular file")
    if path.stat().st_size == 0:
        raise MediaError("media:empty", f"{path.name} has no bytes")


def claims_media(path: Path) -> bool:
    """True when the first bytes are a known media container's or, if they are of no known kind, the name says so."""
    with path.open("rb") as file:
        head = file.read(4096)
    if _starts_as_media(head):
        return True
    if head.startswith(_OTHER_STARTS) or _is_text(head):
        return False
    return path.name.lower().endswith(_NAMES)


def has_index(path: Path) -> bool:
    """False for MPEG streams, Ogg and FLV, which hold no index of key frames: a seek there lands anywhere.

    Raises MediaError media:missing when the file cannot be opened any more.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise MediaError("media:missing", f"{path.name} cannot be opened: {error.strerror}") from None
    return not (_is_ts(head) or head.startswith((b"\x00\x00\x01", b"OggS", b"FLV\x01")))


def _starts_as_media(head: bytes) -> bool:
    riff = head[:4] == b"RIFF" and head[8:12] in {b"AVI ", b"WAVE"}
    mov = head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
    aiff = head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}
    return riff or mov or aiff or _is_ts(head) or head.startswith(_MEDIA_STARTS)


def _is_ts(head: bytes) -> bool:
    """MPEG transport stream, with packets of 188 bytes or, on Blu-ray and in cameras, 192 (4 more before each)."""
    return any(
        all(head[first + i * step : first + i * step + 1] == b"G" for i in range(3))
        for first, step in ((0, 188), (4, 192))
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not just a character cut in two at the end of the head
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c in "\t\r\n\f" for c in text)
