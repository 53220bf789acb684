"""Ray's token: who has one shows it. Called before Ray is imported, which reads the mode once."""

import os
from pathlib import Path

_GIVEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def use_token() -> None:
    """Turn token auth on when a token is at hand: Ray by itself does so only for clusters that it finds or starts."""
    if any(name in os.environ for name in _GIVEN) or (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
