"""Average-linkage clustering with cannot-links, for the handful of voice tracks of a clip."""

from collections.abc import Sequence

import numpy as np


def average_linkage(distance: np.ndarray, groups: Sequence[int], threshold: float) -> list[int]:
    """Cluster label of each item, numbered by first member.

    distance: (n, n) symmetric. groups: items of one group never share a cluster. Clusters whose mean pairwise distance
    is below `threshold` are joined, nearest first, until none is left.
    """
    clusters = [[i] for i in range(len(groups))]
    while (pair := _nearest(clusters, distance, groups, threshold)) is not None:
        first, second = pair
        clusters[first] += clusters.pop(second)
    labels = [0] * len(groups)
    for label, members in enumerate(sorted(clusters, key=min)):
        for member in members:
            labels[member] = label
    return labels


def _nearest(
    clusters: list[list[int]], distance: np.ndarray, groups: Sequence[int], threshold: float
) -> tuple[int, int] | None:
    best, pair = threshold, None
    for j in range(len(clusters)):
        for i in range(j):
            if {groups[k] for k in clusters[i]} & {groups[k] for k in clusters[j]}:
                continue
            mean = float(distance[np.ix_(clusters[i], clusters[j])].mean())
            if mean < best:
                best, pair = mean, (i, j)
    return pair
