"""Pages whose video yt-dlp finds: `ytdlp:https://...`. An extra (`pip install klear[ytdlp]`), never a fallback.

The page's address, its robots.txt and its host's turn are checked like any url's. What the page points to is asked by
yt-dlp itself, which does not: name pages that you trust.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from manifests.errors import BackendAbsent, KlearError, MachineError, MediaError
from pipeline.config import SourceSettings
from pipeline.sources.retry import Transient

_FORMAT = "best[vcodec!=none][acodec!=none]/best/bestvideo*+bestaudio"
"""One file with both tracks where there is one; else the best of each, put together by ffmpeg without re-encoding."""


def require() -> None:
    """Raise BackendAbsent without yt-dlp: before any work starts."""
    if importlib.util.find_spec("yt_dlp") is None:
        raise BackendAbsent("source:ytdlp", "ytdlp: sources need yt-dlp: pip install 'klear[ytdlp]'")


def download(page: str, into: Path, settings: SourceSettings) -> str:
    """Fetch the video of a page to `into`; its version, the id that yt-dlp gives it.

    Raises Transient, and MediaError `source:gone`, `source:too_big`, `source:ytdlp` (no video there, or not for us).
    """
    import yt_dlp

    try:
        with yt_dlp.YoutubeDL(_options(into, settings)) as tool:
            found = tool.extract_info(page, download=True)
    except yt_dlp.utils.DownloadError as error:
        raise _explained(page, error) from None
    if not into.is_file():
        limit = f"sources.max_gb = {settings.max_gb:g}"
        raise MediaError("source:too_big", f"{page}: yt-dlp left no single file: over {limit}, or a list of videos")
    return f"ytdlp:{found.get('extractor', '')}:{found.get('id', '')}"


def _options(into: Path, settings: SourceSettings) -> dict[str, Any]:
    import imageio_ffmpeg

    return {
        "outtmpl": {"default": str(into).replace("%", "%%")},
        "format": _FORMAT,
        "noplaylist": True,
        "playlist_items": "1",
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logtostderr": True,
        "cachedir": False,
        "nopart": True,
        "overwrites": True,
        "retries": 0,
        "fragment_retries": settings.retries,
        "socket_timeout": settings.silence_s,
        "max_filesize": round(settings.max_gb * 1e9),
        "http_headers": {"User-Agent": settings.user_agent},
        "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(),
        "merge_output_format": "mkv",
        "allowed_extractors": ["default"],
        "logger": _Quiet(),
    }


class _Quiet:
    """yt-dlp's messages are in the errors that it raises."""

    def debug(self, message: str) -> None:
        """Nothing."""

    info = warning = error = debug


def _explained(page: str, error: Any) -> Exception:
    """yt-dlp's error in our words: what is gone, what may pass, and what it cannot do."""
    chain: list[BaseException] = [error]
    inner = error.exc_info[1] if getattr(error, "exc_info", None) else None
    while inner is not None and inner not in chain:
        chain.append(inner)
        inner = getattr(inner, "cause", None) or inner.__cause__ or inner.__context__
    statuses = [getattr(one, "status", None) for one in chain]
    message = f"{page}: {str(error).removeprefix('ERROR: ')[:300]}"
    if any(status in {404, 410} for status in statuses):
        return MediaError("source:gone", message)
    if any(status in {401, 403, 451} for status in statuses):
        return MediaError("source:forbidden", message)
    transport = sys.modules["yt_dlp.networking.exceptions"].TransportError
    final: KlearError = MachineError("source:network", message)
    if any(isinstance(one, transport) for one in chain):
        return Transient(final)
    if any(status and status >= 500 for status in statuses):
        return Transient(MediaError("source:server_error", message))
    return MediaError("source:ytdlp", message)
