"""How sure a share is that was counted on a sample."""

import math

Z95 = 1.959963984540054


def wilson(hits: int, of: int, z: float = Z95) -> tuple[float, float]:
    """The 95% interval of a share, `hits` of `of` drawn at random, in [0, 1] (Wilson 1927); (0, 1) of none.

    Unlike the normal interval it is right for shares near 0 and 1 and for small samples.
    """
    if of == 0:
        return 0.0, 1.0
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)
