"""Settings that say `auto` become what this machine can do, before any work; whoever starts the job is told.

It is tried where the job is started: on a cluster, start it on a node like those that work.
"""

from media import hardware
from pipeline import console
from pipeline.config import PipelineSettings, SourceSettings


def with_encoder(settings: PipelineSettings) -> PipelineSettings:
    """The settings with the encoder that will really be used, as recipes name it.

    Raises ConfigError when one that was asked for by name does not run here.
    """
    encoder, why = hardware.choose_encoder(settings.shard.encoder)
    if why:
        console.err.print(f"encoding with {encoder}: {hardware.NVENC} does not run here ({why})")
    return settings.model_copy(update={"shard": settings.shard.model_copy(update={"encoder": encoder})})


def with_decoder(settings: SourceSettings) -> SourceSettings:
    """The settings with the decoder that will really be used. Raises ConfigError as `with_encoder`."""
    decoder, why = hardware.choose_decoder(settings.decoder)
    if why:
        console.err.print(f"decoding on the CPU: {hardware.CUDA} does not run here ({why})")
    return settings.model_copy(update={"decoder": decoder})
