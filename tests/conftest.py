"""Shared fixtures. Tests that need the real media or the golden files skip, saying so, when they are not given."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "false")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: it names the folder of real media or golden files this test reads")
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"{variable}={value!r} is not a folder")
    return path


@pytest.fixture
def media_dir() -> Path:
    """The folder of real clips with transcripts (`MEDIA.tsv`)."""
    return _folder("KLEAR_MEDIA")


@pytest.fixture
def golden_dir() -> Path:
    """The folder of outputs of reference implementations."""
    return _folder("KLEAR_GOLDEN")
