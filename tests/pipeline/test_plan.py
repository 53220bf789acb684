from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.ids import bucket, digest
from pipeline.engine.plan import Plan


def wanted(numbers, bits=2):
    keys = [digest(n) for n in numbers]
    return {key: bucket(key, bits) for key in keys}


@settings(max_examples=30, deadline=None)
@given(
    first=st.sets(st.integers(0, 200), max_size=60),
    second=st.sets(st.integers(0, 200), max_size=60),
    size=st.integers(1, 20),
)
def test_every_key_has_one_part_for_ever(tmp_path_factory, first, second, size):
    plan = Plan(tmp_path_factory.mktemp("plan"))
    before = plan.extend(wanted(first), size)
    after = plan.extend(wanted(second), size)
    assert {p.name: p.keys for p in before}.items() <= {p.name: p.keys for p in after}.items()
    keys = [key for part in after for key in part.keys]
    assert sorted(keys) == sorted(wanted(first | second))
    assert all(len(part.keys) <= size for part in after)
    assert all(bucket(key, 2) == part.bucket for part in after for key in part.keys)
    assert plan.extend(wanted(first), size) == after  # nothing new, nothing changes


def test_the_same_keys_give_the_same_parts_anywhere(tmp_path):
    one, two = (Plan(tmp_path / name).extend(wanted(range(50)), 7) for name in ("one", "two"))
    assert one == two


def test_epochs_say_who_was_first(tmp_path):
    plan = Plan(tmp_path)
    plan.extend(wanted([1]), 5)
    plan.extend(wanted([1, 2]), 5)
    assert plan.epochs() == {digest(1): 0, digest(2): 1}
