"""Run a klear command on a cluster as a Ray job: its driver lives on the cluster, and outlives this terminal."""

import asyncio
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.errors import ConfigError, KlearError
from pipeline import console

POLL_S = 1.0


def runtime_env(
    working_dir: str | None = None, pip: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What the job finds on the cluster beside its image.

    working_dir: a folder (a checkout: what git ignores stays here) or a zip's uri, from where the code then comes, not
    from the image. pip: packages to add. env: variables of the driver and of every worker.
    """
    found: dict[str, Any] = {}
    if working_dir:
        found |= {"working_dir": working_dir, "excludes": [".git"]}
    if pip:
        found["pip"] = list(pip)
    if env:
        found["env_vars"] = dict(env)
    return found


def submit(
    arguments: Sequence[str], address: str | None, environment: Mapping[str, Any], cpus: float = 0.0
) -> dict[str, Any]:
    """Submit `klear <arguments>`, print its output as it comes; its `id` and its `exit_code` (130: it goes on).

    address: of the cluster's dashboard, `http://head:8265`. cpus: reserved for the driver, which is on the head node
    else. Raises ConfigError `submit:address` when nobody answers there, KlearError `submit:refused`.
    """
    client = _client(address)
    job = client.submit_job(
        entrypoint=shlex.join(["python", "-m", "pipeline.cli", *arguments]),
        runtime_env=dict(environment),
        entrypoint_num_cpus=cpus or None,
        metadata={"klear": shlex.join(arguments)},
    )
    console.say(f"{job}: klear {shlex.join(arguments)}", "submitted", "bold")
    try:
        asyncio.run(_follow(client, job))
        code = _exit_code(client, job)
    except KeyboardInterrupt:
        console.err.print(f"{job} goes on; see it with `ray job logs -f {job}`, end it with `ray job stop {job}`")
        code = 130
    return {"job": "submit", "id": job, "exit_code": code}


def _client(address: str | None) -> Any:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except ConnectionError as error:
        raise ConfigError(
            "submit:address", f"no dashboard answers at {address}: give --address http://HEAD:8265 ({error})"
        ) from None
    except AuthenticationError as error:
        said = str(error).splitlines()[0]
        raise KlearError("submit:refused", f"{address}: {said}; set RAY_AUTH_TOKEN to the cluster's token") from None


async def _follow(client: Any, job: str) -> None:
    async for text in client.tail_job_logs(job):
        sys.stdout.write(text)
        sys.stdout.flush()


def _exit_code(client: Any, job: str) -> int:
    """The exit code of the job's driver; 1 when it had none (it was stopped, or its node died)."""
    while not client.get_job_status(job).is_terminal():
        time.sleep(POLL_S)  # its output ended before it did, or we lost the connection
    info = client.get_job_info(job)
    code = info.driver_exit_code
    if info.status != "SUCCEEDED":
        console.say(f"{job}: {info.message}", str(info.status), "bold red")
        return code or 1
    return 0
