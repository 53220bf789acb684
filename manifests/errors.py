"""The errors klear raises on purpose. Each has a short stable `code`, which becomes a column, and says what to do."""

import errno
import re

_OUT_OF = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
"""Space, files, processes, memory."""
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that stand for no byte of a file name: JSON may hold them (`"\\ud83d"`), UTF-8 may not."""


class KlearError(Exception):
    """An error with a stable machine-readable code, e.g. `media:no_audio`, beside its message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Survive the trip between worker processes."""
        return type(self), (self.code, self.message)


def cause_of(error: Exception) -> tuple[str, str]:
    """Code and message of any exception, as columns hold them: our own words, else `crash:<class>`; valid UTF-8.

    Raises MachineError for what the machine has run out of: that is nobody's row.
    """
    if isinstance(error, OSError) and error.errno in _OUT_OF:
        code = errno.errorcode[error.errno].lower()
        raise MachineError(f"machine:{code}", f"{error}: free some, then run the same command again") from error
    if isinstance(error, KlearError):
        return error.code, printable(error.message)
    return f"crash:{type(error).__name__}", printable(str(error)[:500])


def printable(text: str) -> str:
    """Text that is valid UTF-8: bytes of the file system that are not, and halves of characters, become escapes."""
    text = _NO_BYTE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class ConfigError(KlearError):
    """A setting is wrong: the message names the field, the value and the fix."""


class MediaError(KlearError):
    """A source or clip could not be read or rendered."""


class MachineError(KlearError):
    """The machine or its network failed, not the data: the part stops and is done again; nothing is quarantined."""


class BackendAbsent(KlearError):
    """A backend cannot run here (no weights, no package). Known before any work starts, never replaced silently."""
