"""Locks in folders that others tidy away."""

import os
from pathlib import Path

import pytest

from pipeline.sources import locks


@pytest.fixture
def tidied(monkeypatch):
    """Have another process remove the folder of a lock just before it is opened, so many times."""

    def times(count: int) -> list[int]:
        left, opened = [count], locks.os.open

        def late(path, *rest, **options):
            if left[0]:
                left[0] -= 1
                Path(path).parent.rmdir()
            return opened(path, *rest, **options)

        monkeypatch.setattr(locks.os, "open", late)
        return left

    return times


def test_a_folder_that_goes_is_made_again(tmp_path, tidied):
    left = tidied(3)
    with locks.held(tmp_path / "source" / "fetch.lock") as descriptor:
        assert left == [0] and locks.is_there(tmp_path / "source" / "fetch.lock", descriptor)
        assert locks.take(tmp_path / "source" / "fetch.lock", wait=False) is None
    free = locks.take(tmp_path / "source" / "fetch.lock", wait=False)
    assert free is not None
    os.close(free)


def test_a_folder_that_always_goes_is_given_up(tmp_path, tidied):
    left = tidied(10_000)
    with pytest.raises(FileNotFoundError), locks.held(tmp_path / "source" / "fetch.lock"):
        pytest.fail("there is no folder to hold a lock in")
    assert left == [10_000 - locks._MADE]
