"""Imports that talk: WhisperX, pyannote and faster-whisper without telemetry, hub access, or warnings."""

import importlib
import logging
import os
import warnings

_LOUD = ("whisperx", "lightning.pytorch", "lightning.pytorch.utilities.migration.utils", "faster_whisper")


def quiet_imports() -> None:
    """Import WhisperX (seconds, once a process), and let it say only what is wrong."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of decoders that klear does not use
        for name in ("whisperx.asr", "whisperx.alignment"):
            importlib.import_module(name)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
