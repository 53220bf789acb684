"""Where a run's numbers go: TensorBoard, Weights & Biases when asked for, and a file of JSON lines.

Names in the first two are torchtitan's where it has the number, so that dashboards made for it show ours.
"""

import importlib.util
import json
import math
import time
from collections.abc import Iterator, Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any, Protocol

from manifests.errors import ConfigError
from manifests.files import replace
from pipeline.settings import Settings

NAMES = {
    "loss": "loss_metrics/global_avg_loss",
    "video": "loss_metrics/video",
    "audio": "loss_metrics/audio",
    "grad_norm": "grad_norm",
    "lr": "lr",
    "tokens_per_s_device": "throughput(tps)",
    "samples_per_s": "throughput(samples/s)",
    "tflops": "tflops",
    "mfu_percent": "mfu(%)",
    "seconds_per_step": "time_metrics/end_to_end(s)",
    "data_seconds_per_step": "time_metrics/data_loading(s)",
    "data_percent": "time_metrics/data_loading(%)",
    "memory_gib": "memory/max_active(GiB)",
    "imbalance": "batch/imbalance",
    "waiting": "batch/waiting",
    "fill": "batch/fill",
    "skipped": "guard/skipped",
    "bad": "guard/bad_rows",
    "unreadable": "data/unreadable",
}
"""Key of a row to its public name. throughput(tps) is of one device, as torchtitan's; samples/s are of all."""
AXES = ("task", "class", "sigma")
"""Marginals of a row that become curves; `capability` stays in the JSON lines."""


class LogSettings(Settings):
    """wandb: project of Weights & Biases to write to as well, None for none. WANDB_MODE=offline keeps it local."""

    wandb: str | None = None


class Sink(Protocol):
    """Something that takes rows."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Take the numbers of a step."""
        ...

    def rewind(self, step: int) -> None:
        """Training went back: what was written of later steps does not count."""
        ...

    def close(self) -> None:
        """Write out what is held back."""
        ...


def check_sinks(settings: LogSettings) -> None:
    """Raise ConfigError when Weights & Biases is asked for and not installed."""
    if settings.wandb is not None and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            "log:wandb",
            f"log.wandb = {settings.wandb!r}, but wandb is not installed: pip install wandb, or set log.wandb=null",
        )


class TensorBoard:
    """Event files in `folder`. last: the last step that counts of what is there already, -1 for none; the rest is
    hidden."""

    def __init__(self, folder: Path, last: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        _wait_for_a_later_name(folder)
        self._writer = SummaryWriter(str(folder), purge_step=last + 1 if folder.is_dir() else None)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """A scalar each."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def rewind(self, step: int) -> None:
        """Go on in another file, which hides the later steps of this one."""
        self.close()
        self._writer = type(self)(self._folder, step)._writer

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()


class WandB:
    """A run of Weights & Biases, of the same id whenever this stage of this folder goes on."""

    def __init__(self, project: str, out: Path, stage: int, config: Mapping[str, Any]) -> None:
        import wandb

        place = out / "report" / f"wandb-stage-{stage}.json"
        known = json.loads(place.read_text()) if place.is_file() else {}
        self._run = wandb.init(
            project=project,
            name=f"{out.name}-stage-{stage}",
            id=known.get("id"),
            resume="allow",
            dir=str(place.parent),
            config=dict(config),
        )
        replace(place, methodcaller("write", json.dumps({"id": self._run.id}).encode()))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """All scalars of the step at once."""
        self._run.log(dict(scalars), step=step)

    def rewind(self, step: int) -> None:
        """Nothing can be taken back: of steps that are done again its server keeps the first values."""

    def close(self) -> None:
        """Upload the rest."""
        self._run.finish()


class JsonLines:
    """One JSON object a line, each written whole; lines beyond step `start` are dropped when it is opened."""

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rewind(start)

    def rewind(self, step: int) -> None:
        """Forget what was written of later steps, and a line that was cut off: those steps will be done again."""
        if not self.path.is_file():
            return
        old = self.path.read_bytes()
        kept = b"".join(line + b"\n" for line, row in _rows(old) if row["step"] <= step)
        if kept != old:
            replace(self.path, methodcaller("write", kept))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row, NaN and infinities as null. Readers see the whole line or none of it."""
        line = json.dumps(_finite(row), allow_nan=False) + "\n"
        with self.path.open("ab", buffering=0) as file:
            file.write(line.encode())


def lines_file(out: Path, stage: int) -> Path:
    """Where the JSON lines of a stage lie."""
    return out / "report" / f"train-stage-{stage}.jsonl"


def last_row(path: Path) -> dict[str, Any] | None:
    """The newest whole row of a file of JSON lines; None while there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 17)))
        found = [row for _, row in _rows(file.read())]
    return found[-1] if found else None


def scalars_of(row: Mapping[str, Any]) -> dict[str, float]:
    """A row's numbers by their public names; those that are not known or not finite are left out."""
    found = {public: row[name] for name, public in NAMES.items() if row.get(name) is not None}
    for axis in AXES:
        for name, media in row.get(axis, {}).items():
            for medium, numbers in media.items():
                found[f"loss_by_{axis}/{name}/{medium}"] = numbers["loss"]
                found[f"gradient_share_by_{axis}/{name}/{medium}"] = numbers["share"]
    for axis in ("stream", "part"):
        found |= {f"gradient_share_by_{axis}/{name}": share for name, share in row.get(axis, {}).items()}
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _wait_for_a_later_name(folder: Path) -> None:
    """Until a new event file is read after those that are there.

    TensorBoard reads them by name, which tells the second and then a number without zeros in front: 10 before 9.
    """
    now = time.time()
    if any(folder.glob(f"events.out.tfevents.{int(now):010d}.*")):
        time.sleep(1 - now % 1)


def _rows(text: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for line in text.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "step" in row:
            yield line, row


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
