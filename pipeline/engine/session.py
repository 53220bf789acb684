"""The Ray session: an existing cluster by address, or a local one that lives as long as this process."""

import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from manifests.errors import ConfigError
from pipeline import console
from pipeline.engine.job import Needs

_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PYANNOTE_METRICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
"""Of every worker: no telemetry, no hub, one thread each (the pool is the parallelism; one thread is reproducible)."""


def start(address: str | None = None, cpus: int | None = None, dashboard: bool = False) -> None:
    """Connect to the cluster at `address`, or start a local session. Does nothing when already connected.

    dashboard: serve Ray's dashboard for a local session, on loopback; its address goes to stderr, a cluster's too.
    """
    import ray

    if ray.is_initialized():
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address:
        quiet = {name: os.environ.get(name, value) for name, value in _QUIET.items()}
        url = connect(address, runtime_env={"env_vars": quiet}, **options)
    else:
        url = _start_local(cpus, dashboard, options)
    if dashboard:
        _tell(url, None if address else os.environ.get("RAY_AUTH_TOKEN"))


def connect(address: str, **options: Any) -> str | None:
    """Connect to a running cluster; the host and port of its dashboard, None when it has none.

    Raises ConfigError `session:address` when nobody answers there, or only to who has another token.
    """
    import ray
    from ray.exceptions import RayError

    try:
        if ":" in address.removeprefix("ray://"):
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself would try for minutes
        with _hushed():  # a line of complaint each second, before it gives up
            return ray.init(address=address, **options).dashboard_url
    except (OSError, ValueError, RuntimeError, RayError) as error:
        said = str(error).splitlines()[0]
        raise ConfigError(
            "session:address",
            f"no cluster to work with at {address}: {said}; is it HEAD:6379, and RAY_AUTH_TOKEN the cluster's token?",
        ) from None


def _start_local(cpus: int | None, dashboard: bool, options: dict[str, Any]) -> str | None:
    import ray

    _guard()
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its core prints warnings of its own on our stderr
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    # Inherited, not a runtime environment: for that Ray asks an agent, and starts processes when they are wanted.
    with _environment({**_QUIET, "PYTHONPATH": path}), _hushed():
        context = ray.init(
            address="local",  # never a cluster that happens to run on this machine
            num_cpus=cpus or os.cpu_count(),
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            **options,
        )
    return context.dashboard_url


def _guard() -> None:
    """A token of its own for a local session: its ports are open to the network, and whoever may talk to them may run
    code. It lives in the environment of this process and its workers. A token or a mode that is set already stays."""
    if not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _tell(url: str | None, token: str | None) -> None:
    if not url:
        console.say("this cluster runs without one", "no dashboard:", "yellow")
        return
    asks = f" (it asks for the token {token})" if token else ""
    console.say(f"http://{url}{asks}", "dashboard", "bold")


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables in the environment of this process, and of those that begin inside."""
    kept = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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


def room(job: str, needs: Needs, wait: bool = False) -> int:
    """Workers of these needs that the session's nodes can hold together, at least one.

    Raises ConfigError `engine:needs` when no node can hold one; with `wait`, says so and lets the job wait for a node
    that can, as an autoscaling cluster may start one.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = sum(_fit(node, needs) for node in nodes)
    if not found:
        gpus, memory = (max(node.get(name, 0.0) for node in nodes) for name in ("GPU", "memory"))
        asked = f"{needs.cpus:g} CPUs, {needs.gpus:g} GPUs, {needs.memory_gib:g} GiB"
        largest = f"{max(node.get('CPU', 0.0) for node in nodes):g}, {gpus:g}, {memory / 2**30:.1f} GiB"
        said = f"{job}: a worker takes {asked}, and no node has more than {largest}: change engine.needs"
        if not wait:
            raise ConfigError("engine:needs", said)
        console.say(f"{said}, or add such a node", "waiting", "yellow")
    return max(1, found)


def _fit(resources: Mapping[str, float], needs: Needs) -> int:
    asked = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory_gib * 2**30}
    return min(int(resources.get(name, 0.0) / amount + 1e-9) for name, amount in asked.items() if amount)
