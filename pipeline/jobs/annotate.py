"""Annotate: the captioners' stages on the clips that the policy keeps."""

from typing import Any

from pipeline.context import Context
from pipeline.jobs import decide, run_stages


def run(context: Context) -> dict[str, Any]:
    """Write transcripts, captions and texts of all kept clips."""
    context.catalog.require("verdicts", "decide")
    return run_stages.run(context, "annotate", context.settings.annotate, decide.KEPT)
