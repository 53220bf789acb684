"""The sample of clips that skips no tier: what `calibrate` and `explain` need to be unbiased."""

import hashlib


def bypass(clip_id: bytes, share: float = 0.01) -> bool:
    """Whether this clip is measured by every tier, whatever it failed before.

    A function of the id alone (blake2b, so it is independent of buckets, parts and shards): the same clips on every
    machine and every run, and a larger share contains a smaller one. share: in [0, 1].
    """
    digest = hashlib.blake2b(clip_id, digest_size=8, person=b"klear.bypass").digest()
    return int.from_bytes(digest, "big") < share * 2**64
