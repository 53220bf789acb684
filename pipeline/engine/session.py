"""The Ray session: an existing cluster by address, or a local one that lives as long as this process."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PYANNOTE_METRICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}
"""Of every worker: no telemetry, no hub, one thread each (the pool is the parallelism; one thread is reproducible)."""


def start(address: str | None = None, cpus: int | None = None) -> None:
    """Connect to the cluster at `address`, or start a local session. Does nothing when already connected."""
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address:
        ray.init(address=address, **options)
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # loopback only, for this process alone
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its core prints warnings of its own on our stderr
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with _hushed():
        ray.init(
            num_cpus=cpus or os.cpu_count(),
            include_dashboard=False,
            runtime_env={"env_vars": {**_QUIET, "PYTHONPATH": path}},
            **options,
        )


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Drop what native code writes to stderr: Ray's core greets there when its log level is set."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def cpus() -> int:
    """CPUs of the session."""
    return int(ray.cluster_resources().get("CPU", 1))
