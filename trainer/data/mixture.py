"""Weights over capabilities (audio class x task) from how many samples can serve each."""

from collections import Counter
from collections.abc import Iterable, Mapping

from manifests.errors import ConfigError
from trainer.data.sample import SampleInfo

Capability = tuple[str, str]
"""(audio_class, task); written `audio_class/task` in settings."""

TASKS = ("T2AV", "TI2AV", "TI2V", "T2V", "T2A")


def as_capability(name: Capability | str) -> Capability:
    """`"music/T2A"` or `("music", "T2A")` to the pair. Raises ConfigError for anything else."""
    pair = tuple(name.split("/")) if isinstance(name, str) else tuple(name)
    if len(pair) != 2 or pair[1] not in TASKS:
        raise ConfigError("config:capability", f"capability {name!r}: write it class/task, the task one of {TASKS}")
    return (pair[0], pair[1])


def capability_counts(samples: Iterable[SampleInfo]) -> dict[Capability, int]:
    """How many samples can serve each capability, in sorted order."""
    known: Mapping[Capability, int] | None = getattr(samples, "counts", None)  # `trainer.data.index.Rows`: by column
    counts = known or Counter((s.audio_class, task) for s in samples for task in s.tasks)
    return dict(sorted(counts.items()))


def mixture_weights(
    samples: Iterable[SampleInfo], alpha: float = 0.5, tasks: Mapping[str, float] | None = None
) -> dict[Capability, float]:
    """Weights that sum to 1: proportional to (number of samples) ** alpha times the weight of the task.

    alpha: 1 keeps the proportions of the data, 0 makes capabilities equal. tasks: weight by task, 1 each by default;
    a task left out has weight 0. Raises ConfigError when nothing is left.
    """
    wanted = dict.fromkeys(TASKS, 1.0) if tasks is None else tasks
    raw = {c: n**alpha * wanted.get(c[1], 0.0) for c, n in capability_counts(samples).items()}
    total = sum(raw.values())
    if total <= 0:
        raise ConfigError("config:mixture", f"no sample can serve the wanted tasks {dict(wanted)}")
    return {c: w / total for c, w in raw.items() if w > 0}
