"""From the stream to a step's samples: which draws, and what each of them costs."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from trainer.data.sample import SampleInfo
from trainer.data.stream import Draw
from trainer.flops import Load, Rows, document_load
from trainer.model.config import ModelConfig
from trainer.model.layout import STREAMS, registers
from trainer.patches import grid_of
from trainer.tasks import Task, task_named


class Stream(Protocol):
    """What `cut` needs of a sample stream: `trainer.data.stream.SampleStream`."""

    def at(self, position: int) -> Draw:
        """The draw at a position."""
        ...


class Grain(NamedTuple):
    """How samples become rows: `ModelConfig.patch` and `ModelConfig.length`."""

    patch: int = 1
    length: int = 1

    @classmethod
    def of(cls, config: ModelConfig) -> "Grain":
        """That of a model."""
        return cls(config.patch, config.length)


PLAIN = Grain()


def rows_of(info: SampleInfo, task: Task, grain: Grain = PLAIN) -> Rows:
    """Rows a stream of a sample in a task, registers too; nothing dropped; a transcript has one end mark.

    Raises ConfigError when patches do not divide its picture.
    """
    latents, height, width = grid_of(info.video, grain.patch)
    counts = (latents * height * width, info.video_text, info.audio_text + info.speech + 1, info.audio)
    present = (count if task.has(stream) else 0 for stream, count in zip(STREAMS, counts, strict=True))
    video, video_text, audio_text, audio = present
    more = registers((video, video_text, audio_text, audio), grain.length)
    return video, video_text + more[0], audio_text + more[1], audio


def tokens_of(info: SampleInfo, task: Task, grain: Grain = PLAIN) -> int:
    """Tokens of a sample in a task, all streams, as `rows_of` counts them."""
    return sum(rows_of(info, task, grain))


def load_of(info: SampleInfo, task: Task, grain: Grain = PLAIN) -> Load:
    """What the model does for a sample in a task, nothing dropped."""
    symbols = info.speech + 1 if task.has("audio_text") else 0
    return document_load(rows_of(info, task, grain), symbols)


def cut(
    stream: Stream,
    position: int,
    budget: int,
    info: Callable[[str], SampleInfo],
    skip: frozenset[int] = frozenset(),
    grain: Grain = PLAIN,
) -> tuple[list[Draw], list[int], int]:
    """A step's draws from `position` on: as many as fit `budget` tokens, at least one; `skip`: positions to leave out.

    Returns the draws, their tokens, and the next step's position: functions of the stream alone, not of the ranks.
    """
    draws: list[Draw] = []
    tokens: list[int] = []
    total = 0
    while True:
        while position in skip:
            position += 1
        draw = stream.at(position)
        count = tokens_of(info(draw.key), task_named(draw.task), grain)
        if draws and total + count > budget:
            return draws, tokens, position
        draws.append(draw)
        tokens.append(count)
        total += count
        position += 1
