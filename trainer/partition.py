"""A step's samples split into ranks and micro-batches, by predicted cost and by memory.

Every rank gets the same number of micro-batches, because each is a collective pass; as few as the token and FLOPs
limits allow, since each gathers the weights anew. Ranks wait for each other in every one of them, so micro-batches that
run at the same time should cost the same, and not only the sums over the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from pipeline.settings import Settings


class BatchSettings(Settings):
    """How a step's samples become micro-batches.

    micro_tokens: most tokens of one, over all streams: it decides the memory of activations. micro_flops: most training
    FLOPs of one. Null: no limit. A sample beyond a limit goes alone. prefetch: windows that a thread makes ahead while
    the device works; 0 makes them inside the loop.
    """

    micro_tokens: int | None = Field(default=None, ge=1)
    micro_flops: float | None = Field(default=None, gt=0)
    prefetch: int = Field(default=2, ge=0)


@dataclass(frozen=True)
class Partition:
    """slots: per rank, per micro-batch, the indices of its samples, ascending.

    imbalance: of the ranks' FLOPs in the step, largest / mean. waiting: FLOPs of the largest micro-batch of each turn,
    summed, / mean of a rank: what the step takes over what it would take in perfect balance. fill: share of the token
    budget (without one, of the largest micro-batch) that micro-batches use.
    """

    slots: tuple[tuple[tuple[int, ...], ...], ...]
    imbalance: float
    waiting: float
    fill: float


def partition(tokens: Sequence[int], flops: Sequence[int], ranks: int, settings: BatchSettings) -> Partition:
    """Split samples of these costs among `ranks`: a function of its arguments, the same on every rank."""
    counts, costs = np.array(tokens, float), np.array(flops, float)
    owner, turns = _fewest(counts, costs, ranks, settings)
    seats = _seat(np.bincount(owner, costs, ranks * turns), ranks, turns)
    slots: list[list[list[int]]] = [[[] for _ in range(turns)] for _ in range(ranks)]
    grid = np.zeros((ranks, turns))
    for sample, slot in enumerate(owner):
        rank, turn = seats[slot]
        slots[rank][turn].append(sample)
        grid[rank, turn] += costs[sample]
    mean = max(costs.sum() / ranks, 1e-9)
    room = settings.micro_tokens or np.bincount(owner, counts).max()
    return Partition(
        tuple(tuple(tuple(turn) for turn in rank) for rank in slots),
        float(grid.sum(1).max() / mean),
        float(grid.max(0).sum() / mean),
        float(counts.sum() / (room * ranks * turns)),
    )


def _fewest(tokens: np.ndarray, flops: np.ndarray, ranks: int, settings: BatchSettings) -> tuple[np.ndarray, int]:
    """The slot of each sample, and the least number of turns in which all fit."""
    most_tokens, most_flops = settings.micro_tokens or np.inf, settings.micro_flops or np.inf
    turns = max(1, int(np.ceil(max(tokens.sum() / most_tokens, flops.sum() / most_flops) / ranks)))
    while True:
        owner = _fill(tokens, flops, ranks * turns, most_tokens, most_flops)
        if owner is not None:
            return owner, turns
        turns += 1


def _fill(
    tokens: np.ndarray, flops: np.ndarray, slots: int, most_tokens: float, most_flops: float
) -> np.ndarray | None:
    """The dearest sample first, each into the slot with the least FLOPs that has room; None when one has no room."""
    held, cost = np.zeros(slots), np.zeros(slots)
    owner = np.zeros(len(tokens), dtype=np.int64)
    for sample in np.lexsort((np.arange(len(tokens)), -tokens, -flops)):
        fits = (held + tokens[sample] <= most_tokens) & (cost + flops[sample] <= most_flops) | (held == 0)
        if not fits.any():
            return None
        owner[sample] = slot = int(np.where(fits, cost, np.inf).argmin())
        held[slot] += tokens[sample]
        cost[slot] += flops[sample]
    return owner


def _seat(cost: np.ndarray, ranks: int, turns: int) -> list[tuple[int, int]]:
    """(rank, turn) of each slot: like costs in one turn, there the dearest to the rank with the least so far."""
    place = [(0, 0)] * len(cost)
    total = np.zeros(ranks)
    order = np.argsort(-cost, kind="stable")
    for turn in range(turns):
        mates = order[turn * ranks : (turn + 1) * ranks]
        for slot, rank in zip(mates, np.argsort(total, kind="stable"), strict=True):
            place[slot] = (int(rank), turn)
        for slot in mates:
            total[place[slot][0]] += cost[slot]
    return place
