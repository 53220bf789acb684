"""From a row of the clips table to the media room's clip, its source being on this machine."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from media.clip import Clip
from media.look import Look
from pipeline.sources.ahead import Sources


def clip_of(row: Mapping[str, Any], sources: Sources) -> Clip:
    """The clip of a row. Raises MediaError when its source is gone or was replaced, MachineError as `Store.get`."""
    return Clip(
        clip_id=row["clip_id"],
        source_id=row["source_id"],
        path=str(sources.get(row).path),
        start_frame=row["start_frame"],
        frames=row["frames"],
        fps=Fraction(row["fps_num"], row["fps_den"]),
        width=row["width"],
        height=row["height"],
        audio_rate=row["audio_rate"],
        audio_channels=row["audio_channels"],
        origin_s=row["origin_s"],
        video_index=row["video_index"],
        audio_index=row["audio_index"],
        audio_anchor_s=row["audio_anchor_s"],
        audio_step=row["audio_step"],
        audio_slack_s=row["audio_slack_s"],
        look=Look.parse(row["look"]),
        decoder=sources.decoder,
    )
