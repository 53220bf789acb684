"""The errors klear raises on purpose. Each has a short stable `code`, which becomes a column, and says what to do."""


class KlearError(Exception):
    """An error with a stable machine-readable code, e.g. `media:no_audio`, beside its message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Survive the trip between worker processes."""
        return type(self), (self.code, self.message)


class ConfigError(KlearError):
    """A setting is wrong: the message names the field, the value and the fix."""


class MediaError(KlearError):
    """A source or clip could not be read or rendered."""


class BackendAbsent(KlearError):
    """A backend cannot run here (no weights, no package). Known before any work starts, never replaced silently."""
