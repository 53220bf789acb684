from hypothesis import given
from hypothesis import strategies as st

from manifests import ids

KEYS = st.binary(min_size=16, max_size=16)


@given(st.lists(st.one_of(st.binary(), st.text(), st.integers()), max_size=4), st.data())
def test_fields_are_told_apart(fields, data):
    other = data.draw(st.lists(st.one_of(st.binary(), st.text(), st.integers()), max_size=4))
    same = [(type(f), f) for f in fields] == [(type(f), f) for f in other]
    assert (ids.digest(*fields) == ids.digest(*other)) == same


def test_known_value():
    assert ids.digest("ab", "c").hex() != ids.digest("a", "bc").hex()
    assert ids.clip_id(b"s" * 16, 0, 2_000_000, "r").hex() == ids.digest(b"s" * 16, 0, 2_000_000, "r").hex()


@given(KEYS, st.integers(0, 16))
def test_bucket_is_the_prefix(key, bits):
    assert ids.bucket(key, bits) == (int.from_bytes(key, "big") >> (128 - bits) if bits else 0)


@given(KEYS)
def test_unit_is_in_range_and_depends_on_purpose(key):
    assert 0 <= ids.unit(key, "split") < 1
    assert ids.unit(key, "split") != ids.unit(key, "bypass")


def test_recipe_depends_on_everything():
    base = ids.recipe("a", 1, "m", {"x": 1}, {"in": "r"})
    others = [
        ids.recipe("b", 1, "m", {"x": 1}, {"in": "r"}),
        ids.recipe("a", 2, "m", {"x": 1}, {"in": "r"}),
        ids.recipe("a", 1, "n", {"x": 1}, {"in": "r"}),
        ids.recipe("a", 1, "m", {"x": 2}, {"in": "r"}),
        ids.recipe("a", 1, "m", {"x": 1}, {"in": "s"}),
    ]
    assert len({base, *others}) == 6
    assert base == ids.recipe("a", 1, "m", {"x": 1}, {"in": "r"})


def test_file_digest_is_of_content(tmp_path):
    for name, data in (("a", b"x" * 3_000_000), ("b", b"x" * 3_000_000), ("c", b"y")):
        (tmp_path / name).write_bytes(data)
    assert ids.file_digest(tmp_path / "a") == ids.file_digest(tmp_path / "b") != ids.file_digest(tmp_path / "c")
