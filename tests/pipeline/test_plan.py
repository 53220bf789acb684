import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import parts
from manifests.ids import bucket, digest
from pipeline.engine.plan import Plan
from pipeline.engine.wanted import Listed


def wanted(numbers, bits=2):
    return Listed({key: bucket(key, bits) for key in map(digest, numbers)})


def members(plan, planned):
    return {part.name: plan.keys(part) for part in planned}


@settings(max_examples=30, deadline=None)
@given(
    first=st.sets(st.integers(0, 200), max_size=60),
    second=st.sets(st.integers(0, 200), max_size=60),
    size=st.integers(1, 20),
)
def test_every_key_has_one_part_for_ever(tmp_path_factory, first, second, size):
    plan = Plan(tmp_path_factory.mktemp("plan"))
    before = plan.extend(wanted(first), size)
    plan.extend(wanted(second), size)
    after = plan.parts()
    assert members(plan, before).items() <= members(plan, after).items()
    keys = [key for part in after for key in plan.keys(part)]
    assert sorted(keys) == sorted(wanted(first | second).keys)
    assert all(0 < part.count == len(plan.keys(part)) <= size for part in after)
    assert all(bucket(key, 2) == part.bucket for part in after for key in plan.keys(part))
    assert plan.extend(wanted(first), size) == before  # nothing new, nothing changes


@settings(max_examples=20, deadline=None)
@given(numbers=st.sets(st.integers(0, 500), min_size=1, max_size=80), size=st.integers(1, 20))
def test_the_name_of_a_part_says_where_its_keys_lie(tmp_path_factory, numbers, size):
    plan = Plan(tmp_path_factory.mktemp("plan"))
    for part in plan.extend(wanted(numbers), size):
        found = parts.range_of(part.name)
        assert found.bucket == part.bucket
        assert all(found.low <= key[:4] <= found.high for key in plan.keys(part))


def test_the_same_keys_give_the_same_parts_anywhere(tmp_path):
    one, two = (Plan(tmp_path / name).extend(wanted(range(50)), 7) for name in ("one", "two"))
    assert one == two


def test_only_parts_that_hold_wanted_keys_are_returned(tmp_path):
    plan = Plan(tmp_path)
    plan.extend(wanted(range(40)), 3)
    found = plan.extend(wanted([7]), 3)
    assert [digest(7) in plan.keys(part) for part in found] == [True]
    assert sum(count for held, _ in plan.sizes(wanted([7, 8, 99])) for count in held.values()) == 2
    assert sum(unplanned for _, unplanned in plan.sizes(wanted([7, 8, 99]))) == 1


def test_epochs_say_who_was_first(tmp_path):
    plan = Plan(tmp_path)
    plan.extend(wanted([1]), 5)
    plan.extend(wanted([1, 2]), 5)
    found = {key: epoch for epoch, path in plan.key_files() for key in pq.read_table(path)["key"].to_pylist()}
    assert found == {digest(1): 0, digest(2): 1}
