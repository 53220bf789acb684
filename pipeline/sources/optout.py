"""Headers by which a site keeps its media out of datasets: X-Robots-Tag, and TDM-Reservation (W3C TDMRep)."""

import re
from collections.abc import Collection, Sequence

_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
"""Directives of X-Robots-Tag with a value after a colon: what stands before it is no agent."""


def opted_out(tags: Sequence[str], reservation: str | None, agent: str, directives: Collection[str]) -> str | None:
    """The header line that opts a response out, None when none does.

    tags: every X-Robots-Tag line, for all (`noai, noindex`) or for one agent (`klear: noai`). reservation: the
    TDM-Reservation line. directives: what counts as opting out; none of them: nothing does, TDM-Reservation neither.
    """
    if not directives:
        return None
    for line in tags:
        if set(_said(line, agent.lower())) & {directive.lower() for directive in directives}:
            return f"X-Robots-Tag: {line.strip()}"
    return "TDM-Reservation: 1" if (reservation or "").strip() == "1" else None


def _said(line: str, agent: str) -> list[str]:
    """The directives of one line that are meant for an agent: those after its name, and those after no name."""
    meant, found = True, []
    for part in line.lower().split(","):
        text = part.strip()
        named = re.match(r"([a-z0-9_*.-]+)\s*:\s*(.*)", text)
        if named and named[1] not in _VALUED:
            meant, text = named[1] in {agent, "*"}, named[2]
        if meant:
            found.append(text)
    return found
