"""How a command ends that an error ended: one line for people, one object for `--json`, and an exit code."""

import os
import sys
import traceback
from pathlib import Path

from manifests.errors import ConfigError, KlearError, MachineError, cause_of
from pipeline import console

TRACEBACK = "KLEAR_TRACEBACK"
"""Environment variable: 1 shows the traceback of an unexpected error."""
_SHOWN = 500


def tell(error: Exception, as_json: bool) -> int:
    """Say what went wrong; the exit code, 2 for settings and 1 for the rest. Of an error that is not ours it is said
    where it was raised, and how to see all of it."""
    known = _known(error)
    if not isinstance(error, KlearError) and os.environ.get(TRACEBACK) == "1":
        traceback.print_exception(error, file=sys.stderr)
    if as_json:
        console.print_json({"error": {"code": known.code, "message": known.message}})
    console.say(f"{known.code}: {known.message}", "error", "bold red")
    return 2 if isinstance(known, ConfigError) else 1


def _known(error: Exception) -> KlearError:
    if isinstance(error, KlearError):
        return error
    try:
        code, _ = cause_of(error)
    except MachineError as machine:
        return machine
    message = " ".join(str(error).split())
    if len(message) > _SHOWN:  # errors from other processes name their cause at the end
        message = f"{message[: _SHOWN // 2]} ... {message[-_SHOWN // 2 :]}"
    return KlearError(
        code,
        f"unexpected {type(error).__name__}{_where(error)}: {message}; this is a bug, or the output folder is "
        f"another version's or damaged: {TRACEBACK}=1 shows the traceback to report",
    )


def _where(error: Exception) -> str:
    """File and line of the innermost frame of our own code, else of any."""
    frames = traceback.extract_tb(error.__traceback__)
    top = Path(__file__).parents[1]
    ours = [f for f in frames if Path(f.filename).is_relative_to(top) and "site-packages" not in f.filename]
    shown = (ours or frames)[-1:]
    return "".join(f" in {Path(f.filename).name}:{f.lineno}" for f in shown)
