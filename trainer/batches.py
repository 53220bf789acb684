"""From the stream to a step's samples, and to each rank's share of them."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from trainer.data.sample import SampleInfo
from trainer.data.stream import Draw
from trainer.tasks import Task, task_named


class Stream(Protocol):
    """What `cut` needs of a sample stream: `trainer.data.stream.SampleStream`."""

    def at(self, position: int) -> Draw:
        """The draw at a position."""
        ...


def tokens_of(info: SampleInfo, task: Task) -> int:
    """Tokens of a sample in a task, all streams, none dropped; a transcript has one end mark."""
    latents, height, width = info.video
    counts = {
        "video": latents * height * width,
        "video_text": info.video_text,
        "audio_text": info.audio_text + info.speech + 1,
        "audio": info.audio,
    }
    return sum(count for stream, count in counts.items() if task.has(stream))


def cut(
    stream: Stream, position: int, budget: int, info: Callable[[str], SampleInfo], left_out: Collection[int] = ()
) -> tuple[list[Draw], list[int], int]:
    """A step's draws from `position` on, but for positions left out: as many as fit `budget` tokens, at least one.

    Returns the draws, their tokens, and the next step's position: functions of the stream alone, not of the ranks.
    """
    draws: list[Draw] = []
    tokens: list[int] = []
    while True:
        draw = stream.at(position)
        count = tokens_of(info(draw.key), task_named(draw.task))
        if position not in left_out:
            if draws and sum(tokens) + count > budget:
                return draws, tokens, position
            draws.append(draw)
            tokens.append(count)
        position += 1


def share(draws: Sequence[Draw], tokens: Sequence[int], rank: int, world: int) -> list[Draw]:
    """The draws of one rank, in stream order: the largest first, each to the rank with the least so far."""
    load = [0] * world
    mine = []
    for i in sorted(range(len(draws)), key=lambda i: (-tokens[i], i)):
        owner = min(range(world), key=lambda r: (load[r], r))
        load[owner] += tokens[i]
        if owner == rank:
            mine.append(i)
    return [draws[i] for i in sorted(mine)]
