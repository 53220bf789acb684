"""What a latent means: how its media were encoded and how its channels are scaled. No samples."""

from dataclasses import dataclass
from typing import Any, Protocol

from trainer.codecs.stats import ChannelStats


class Space(Protocol):
    """Read-only. A `LatentSet` is one, an export holds one. settings: `EncodeSettings` as a dict."""

    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def video_stats(self) -> ChannelStats: ...
    @property
    def audio_stats(self) -> ChannelStats: ...


@dataclass(frozen=True)
class LatentSpace:
    """A `Space` on its own."""

    settings: dict[str, Any]
    video_stats: ChannelStats
    audio_stats: ChannelStats
