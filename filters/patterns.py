"""How clips answer to a policy's gates, counted: a row for each pattern of answers, thousands however many clips.

What gates reject, which of them alone, and what they reject together are sums over these rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from filters.capability import AUDIO_TASKS, VIDEO_TASKS
from filters.gates import Policy
from filters.policy import columns_of, judge

FAILS, PASSES, UNKNOWN, OTHER = range(4)
"""Answers of a gate. OTHER: it is not for the clip's class."""
_HELD = 30
"""Gates whose answers, two bits each, one BIGINT holds."""


@dataclass(frozen=True)
class Patterns:
    """answers: (patterns, gates) uint8. clips: (patterns,) int64. groups: the columns that were also grouped by."""

    policy: Policy
    answers: np.ndarray
    clips: np.ndarray
    groups: pa.Table

    def where(self, mask: np.ndarray) -> "Patterns":
        """The patterns where `mask` (patterns,) is true."""
        return Patterns(self.policy, self.answers[mask], self.clips[mask], self.groups.filter(pa.array(mask)))

    def kept(self, without: int | None = None) -> np.ndarray:
        """Whether the clips of each pattern are kept: a task is left. without: as if this gate did not exist."""
        fails = self.answers == FAILS
        if without is not None:
            fails = fails.copy()
            fails[:, without] = False
        left = np.zeros(len(fails), bool)
        for task in self.policy.tasks:
            left |= ~fails[:, binding(self.policy, task)].any(axis=1)
        return left

    def total(self, mask: np.ndarray) -> int:
        """Clips of the patterns where `mask` is true."""
        return int(self.clips[mask].sum())

    def yields(self) -> list[dict[str, Any]]:
        """A row a gate, in order: gate, scope, measured (clips it was decided for), failed, rejected, alone.

        rejected: rejected clips among the failed. alone: those that would be kept if the gate did not exist.
        """
        gone = ~self.kept()
        rows = []
        for i, gate in enumerate(self.policy.gates):
            failed = self.answers[:, i] == FAILS
            counts = {
                "measured": self.total(failed | (self.answers[:, i] == PASSES)),
                "failed": self.total(failed),
                "rejected": self.total(failed & gone),
                "alone": self.total(failed & gone & self.kept(without=i)),
            }
            rows.append({"gate": gate.name, "scope": gate.scope, **counts})
        return rows

    def overlap(self) -> np.ndarray:
        """(gates, gates) int64: clips that fail both; the diagonal holds what each fails."""
        fails = (self.answers == FAILS).astype(np.int64)
        return fails.T @ (fails * self.clips[:, None])


def binding(policy: Policy, task: str) -> np.ndarray:
    """(gates,) bool: the gates whose failing takes the task away."""
    ends = {"clip": True, "audio": task in AUDIO_TASKS, "video": task in VIDEO_TASKS}
    return np.array([ends[gate.scope] for gate in policy.gates])


def count(
    policy: Policy, con: duckdb.DuckDBPyConnection, relation: str, also: Sequence[str] = ("audio_class",)
) -> Patterns:
    """The patterns of the clips of the table or view `relation` of `con`. also: columns to group by, of the relation
    or `audio_class`."""
    told = [*coded(policy), *(f'"{name}"' for name in also)]
    judged = judge(policy, columns_of(con, relation), relation)
    found = con.sql(f"SELECT {', '.join(told)}, count(*) AS _clips FROM ({judged}) GROUP BY ALL").to_arrow_table()
    return Patterns(policy, answers_of(policy, found), found["_clips"].to_numpy(), found.select(list(also)))


def coded(policy: Policy) -> list[str]:
    """SQL of the columns `_w0`, `_w1`, ... over the rows of `judge`: the answers of all gates, two bits each."""
    return [
        " + ".join(f"({_code(i)} << {2 * (i - held.start)})" for i in held) + f" AS _w{n}"
        for n, held in enumerate(_words(policy))
    ]


def answers_of(policy: Policy, rows: pa.Table) -> np.ndarray:
    """(rows, gates) uint8: the answers in a table with the columns of `coded`."""
    answers = np.zeros((len(rows), len(policy.gates)), np.uint8)
    for n, held in enumerate(_words(policy)):
        word = rows[f"_w{n}"].to_numpy()
        for i in held:
            answers[:, i] = (word >> (2 * (i - held.start))) & 3
    return answers


def _words(policy: Policy) -> list[range]:
    """The gates of each word."""
    return [range(i, min(i + _HELD, len(policy.gates))) for i in range(0, len(policy.gates), _HELD)]


def together(parts: Iterable[Patterns]) -> Patterns:
    """Patterns of several groups of clips, as one. Raises ValueError without any."""
    held = list(parts)
    if not held:
        raise ValueError("no patterns to put together")
    answers = np.concatenate([part.answers for part in held])
    clips = np.concatenate([part.clips for part in held])
    return Patterns(held[0].policy, answers, clips, pa.concat_tables([part.groups for part in held]))


def _code(i: int) -> str:
    return (
        f"(CASE WHEN g{i} IS FALSE THEN {FAILS} WHEN applies{i} IS FALSE THEN {OTHER} "
        f"WHEN g{i} THEN {PASSES} ELSE {UNKNOWN} END)::BIGINT"
    )
