"""The five tasks as data: which streams are there, which tokens are given clean, which carry loss."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from manifests.errors import ConfigError
from trainer.model.layout import STREAMS


@dataclass(frozen=True)
class Task:
    """A training or sampling task (paper section 3.3).

    streams: those present in the document; the others have no tokens, which is the paper's mask on queries and keys.
    clean: first latents of a media stream that are given: sigma 0 and no loss. The other media tokens carry loss.
    """

    name: str
    streams: frozenset[str]
    clean: Mapping[str, int] = field(default_factory=dict)

    def has(self, stream: str) -> bool:
        """Whether documents of this task have tokens of `stream`."""
        return stream in self.streams


_ALL, _VIDEO, _AUDIO = frozenset(STREAMS), frozenset({"video", "video_text"}), frozenset({"audio", "audio_text"})
_STILL = {"video": 1}

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("T2AV", _ALL),
        Task("TI2AV", _ALL, _STILL),
        Task("TI2V", _VIDEO, _STILL),
        Task("T2V", _VIDEO),
        Task("T2A", _AUDIO),
    )
}


def task_named(name: str) -> Task:
    """The task of that name; raises ConfigError naming the five."""
    if name not in TASKS:
        raise ConfigError("config:task", f"no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name]
