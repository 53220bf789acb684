"""What becomes of a source that cannot be used: which codes are ineligible, and the words for what is never read."""

from media.probe import INELIGIBLE as _NO_MEDIA
from pipeline.sources import tar, urls
from pipeline.sources.http import OPTED_OUT

INELIGIBLE = _NO_MEDIA | {OPTED_OUT, tar.UNSAFE}
"""Codes of sources that are readable but not ours to use, or not audio-video. Every other code is a quarantine."""
REFUSALS = {
    urls.BAD: "{name}: not a url that can be fetched; known are http, https, s3, gs and ytdlp:",
    tar.UNSAFE: "{name!r} is a link, a device, or named to lie outside of its tar: it is not read",
    tar.COMPRESSED: "{name} is a compressed tar, which cannot be read in parts: unpack it to a plain .tar",
    tar.BROKEN: "{name} is no tar, or breaks off; the members before that are sources of their own",
}
