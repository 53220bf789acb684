"""`klear-train train --launcher ray`: the same `train` in the workers of Ray Train's TorchTrainer.

Ray Train places the workers, makes their process group, and starts all of them again when one is lost. Checkpoints,
reports and latents are in OUT as always, which every worker must see under the same path; of Ray's own there is only a
folder of notes, OUT/report/ray.
"""

import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from manifests.errors import ConfigError, KlearError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from trainer.settings import TrainSettings


class LaunchSettings(Settings):
    """max_failures: how often Ray Train starts the workers again, for lost workers and lost nodes each; training goes
    on from its newest checkpoint. After that the command fails.
    """

    max_failures: int = Field(default=3, ge=0)


@dataclass(frozen=True)
class Workers:
    """How many, with how much of a GPU each (0: on CPUs), on the Ray cluster at `address` (None: a local session)."""

    count: int = 1
    gpus: float = 1.0
    address: str | None = None


def train_on_ray(settings: "TrainSettings", out: Path, stage: int, workers: Workers) -> dict[str, Any]:
    """Train one stage on Ray and return what `trainer.loop.train` returned in the first worker.

    The last losses are reported to Ray Train as the run's metrics.
    Raises ConfigError for wrong numbers of workers, as `train` does, and KlearError `ray:failed` when the workers
    failed more often than `launch.max_failures`.
    """
    from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.exceptions import TrainingFailedError
    from ray.train.v2.torch.torch_trainer import TorchTrainer

    from pipeline.engine import session
    from trainer.base import open_latents
    from trainer.settings import as_plain

    _check(workers)
    settings.stage(stage)
    open_latents(settings, out)  # what is wrong here would be wrong in every worker, and tried again in vain
    session.start(workers.address)
    _fits(workers)
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    most = settings.launch.max_failures
    failures = FailureConfig(max_failures=most, max_preemption_failures=most, controller_failure_limit=most)
    storage = str((out / "report" / "ray").resolve())
    task = {"settings": as_plain(settings), "out": str(out.resolve()), "stage": stage}
    trainer = TorchTrainer(
        work,
        train_loop_config=task,
        scaling_config=ScalingConfig(
            num_workers=workers.count, use_gpu=workers.gpus > 0, resources_per_worker=_each(workers)
        ),
        run_config=RunConfig(
            name=f"stage-{stage}-{secrets.token_hex(4)}", storage_path=storage, failure_config=failures
        ),
    )
    try:
        done: Any = trainer.fit()
    except TrainingFailedError as error:
        raise _cause(error) from error
    if isinstance(done.return_value, tuple):
        raise ConfigError(*done.return_value)
    return {**done.return_value, "launcher": "ray"}


def work(task: dict[str, Any]) -> Any:
    """What every worker does, in the process group that Ray Train made.

    A wrong setting is wrong in every worker and at every start: it is returned as (code, message), not tried again.
    """
    import ray.train

    from trainer.loop import train
    from trainer.parallel import leave_world
    from trainer.settings import TrainSettings

    try:
        result = train(TrainSettings.model_validate(task["settings"]), Path(task["out"]), task["stage"])
    except ConfigError as error:
        leave_world()  # a worker that saw no error would wait for this one
        return error.code, error.message
    last = result["losses"][-1] if result["losses"] else {}
    ray.train.report({"step": result["step"], "samples": result["samples"], **last})
    return result


def _check(workers: Workers) -> None:
    if workers.count < 1:
        raise ConfigError("ray:workers", f"workers = {workers.count}: give at least 1")
    if workers.gpus < 0 or (workers.gpus > 1 and workers.gpus != int(workers.gpus)):
        raise ConfigError("ray:gpus", f"gpus-per-worker = {workers.gpus:g}: give 0 for CPUs, 1, or a share below 1")


def _each(workers: Workers) -> dict[str, float]:
    return {"CPU": 1, "GPU": workers.gpus} if workers.gpus else {"CPU": 1}


def _fits(workers: Workers) -> None:
    """Refuse what the session cannot hold now: Ray would wait for it without end."""
    import ray

    held = ray.cluster_resources()
    for name, amount in _each(workers).items():
        if workers.count * amount > held.get(name, 0):
            raise ConfigError(
                "ray:workers",
                f"{workers.count} workers of {amount:g} {name} need {workers.count * amount:g}, the session has "
                f"{held.get(name, 0):g}: lower --workers or --gpus-per-worker (0: CPUs), or give --address",
            )


def _cause(error: Exception) -> KlearError:
    """The workers' own error where it is one of ours, else what Ray says."""
    failures = getattr(error, "worker_failures", {})
    own = [e for e in map(_root, failures.values()) if isinstance(e, KlearError)]
    if own:
        return own[0]
    said = [line for line in str(error).splitlines() if line.strip()]
    return KlearError("ray:failed", f"the workers failed: {said[-1].strip() if said else error}")


def _root(error: BaseException) -> BaseException:
    """The exception of the worker itself, which Ray wraps."""
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None:
        error = inner
    return error
