"""A keyed permutation of 0 .. n - 1 that needs no memory: shuffling 81 million samples costs nothing."""

from hashlib import blake2b

_ROUNDS = 6


def permuted(index: int, size: int, key: str) -> int:
    """Where `index` of 0 .. size - 1 goes under the permutation named `key`.

    A Feistel network over the smallest square power of two that holds `size`, walked until it lands inside
    (Black and Rogaway 2002): at most 4 steps on average.
    """
    bits = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        index = _feistel(index, bits, key)
        if index < size:
            return index


def _feistel(value: int, bits: int, key: str) -> int:
    mask = (1 << bits) - 1
    left, right = value >> bits, value & mask
    for turn in range(_ROUNDS):
        digest = blake2b(f"{key}/{turn}/{right}".encode(), digest_size=8).digest()
        left, right = right, left ^ (int.from_bytes(digest, "little") & mask)
    return left << bits | right
