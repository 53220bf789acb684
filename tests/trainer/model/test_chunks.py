"""Runs of rows of one noise level."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.model.chunks import CHUNK, chunks_of


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3 * CHUNK)), max_size=8))
def test_every_row_is_in_one_short_chunk_of_its_group(runs):
    group = torch.tensor([value for value, count in runs for _ in range(count)], dtype=torch.int64)
    rows = 0
    for first, last, value in chunks_of(group).tolist():
        assert first == rows and 0 < last - first <= CHUNK
        assert (group[first:last] == value).all()
        rows = last
    assert rows == len(group)
