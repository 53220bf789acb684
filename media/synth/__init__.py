"""Clips with known truth, made here: events at known offsets, exact transcripts, known ratios, known damage."""

from pathlib import Path

from media.synth.truth import Truth

__all__ = ["Truth", "make_set"]


def make_set(folder: Path, spoken: bool = False) -> list[Truth]:
    """Write the synthetic set into `folder`; see `media.synth.make.make_set`, loaded here only when called."""
    from media.synth.make import make_set as make

    return make(folder, spoken)
