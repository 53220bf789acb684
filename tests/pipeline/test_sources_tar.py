"""Tars as input: members are sources with the notes beside them; nothing that a tar says leads out of the store."""

import io
import json
import tarfile

import pytest

from manifests.catalog import Catalog
from manifests.errors import MediaError
from pipeline.config import SourceSettings
from pipeline.sources import find, listing, tar
from pipeline.sources.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(SourceSettings(cache=str(tmp_path / "cache")))


def make(path, members):
    """A tar of (name, bytes) or TarInfo members, in order."""
    with tarfile.open(path, "w") as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            file.addfile(info, io.BytesIO(member[1]))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_members_are_sources_with_their_notes(tmp_path, store):
    notes = json.dumps({"license": "CC0", "camera": 3}).encode()
    path = make(
        tmp_path / "x-00.tar",
        [
            ("a/1.json", notes),
            ("a/1.mp4", b"one"),
            ("a/1.txt", b"hello there"),
            ("a/2.mp4", b"second"),
            ("3.txt", b"t"),
        ],
    )
    one, two, three = find.rows([path], store)
    assert (one["name"], one["licence"], one["transcript"], one["extra"]) == (
        "x-00.tar#a/1.mp4", "CC0", "hello there", '{"camera": 3}',
    )  # fmt: skip
    assert (two["name"], two["licence"], three["name"]) == ("x-00.tar#a/2.mp4", None, "x-00.tar#3.txt")
    assert store.get(one).path.read_bytes() == b"one" and store.get(two).path.read_bytes() == b"second"
    assert store.get(one).path == store.get(one).path and store.get(one).path.name == "1.mp4"


def test_names_links_and_devices_are_refused(tmp_path, store):
    path = make(
        tmp_path / "evil.tar",
        [
            ("../../escaped.mp4", b"x"),
            ("/tmp/escaped.mp4", b"x"),
            ("a/../../b.mp4", b"x"),
            special("link.mp4", tarfile.SYMTYPE, "/etc/passwd"),
            special("hard.mp4", tarfile.LNKTYPE, "good.mp4"),
            special("device.mp4", tarfile.CHRTYPE),
            special("pipe.mp4", tarfile.FIFOTYPE),
            ("good.mp4", b"good"),
        ],
    )
    found = list(find.rows([path], store))
    assert [row["refused"] for row in found] == [tar.UNSAFE] * 7 + [None]
    assert store.get(found[-1]).path.read_bytes() == b"good"
    assert not (tmp_path.parent / "escaped.mp4").exists()


@pytest.mark.parametrize("name", ["..%2f..%2fx.mp4", "con$(touch x).mp4", "-rf.mp4", "é 世.mp4", "a#b?c.mp4", ".mp4"])
def test_odd_member_names_come_back_and_stay_in_the_store(tmp_path, store, name):
    (row,) = find.rows([make(tmp_path / "t.tar", [(name, b"data")])], store)
    held = store.get(row)
    assert held.path.read_bytes() == b"data"
    assert held.path.resolve().is_relative_to((tmp_path / "cache").resolve())


def test_a_tar_that_breaks_off_gives_its_good_members_and_says_so(tmp_path, store):
    path = make(tmp_path / "t.tar", [(f"{n}.mp4", bytes(2000)) for n in range(4)])
    path.write_bytes(path.read_bytes()[: 512 + 2048 + 512 + 2048 + 512 + 700])
    found = list(find.rows([path], store))
    assert [row["refused"] for row in found] == [None, None, tar.BROKEN]
    path.write_bytes(b"not a tar" * 100)
    assert [row["refused"] for row in find.rows([path], store)] == [tar.BROKEN]
    make(path, [("0.mp4", bytes(2000)), ("1.mp4", bytes(2000))])
    data = bytearray(path.read_bytes())
    data[512 + 2048 : 512 + 2048 + 512] = b"\xff" * 512
    path.write_bytes(data)
    assert [row["refused"] for row in find.rows([path], store)] == [None, tar.BROKEN]


def test_a_compressed_tar_is_refused_in_words(tmp_path, store):
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b")
    (row,) = find.rows([tmp_path / "x.tar.gz"], store)
    assert row["refused"] == tar.COMPRESSED


def test_a_replaced_tar_is_a_changed_source(tmp_path, store):
    path = make(tmp_path / "t.tar", [("a.mp4", b"one")])
    (row,) = find.rows([path], store)
    make(path, [("b.mp4", b"two"), ("a.mp4", b"six")])
    with pytest.raises(MediaError) as caught:
        store.get(row)
    assert caught.value.code == "media:changed"


def test_headers_that_ask_for_memory_or_never_end_are_survived(tmp_path, store):
    bomb = special("x", tarfile.GNUTYPE_LONGNAME)
    bomb.size = 1 << 40
    path = tmp_path / "bomb.tar"
    path.write_bytes(bomb.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16))
    assert [row["refused"] for row in find.rows([path], store)] == [tar.BROKEN]
    link = special("x", tarfile.GNUTYPE_LONGNAME)
    link.size = 4
    path.write_bytes((link.tobuf(tarfile.GNU_FORMAT) + b"abc\0" + bytes(508)) * 5000)
    assert [row["refused"] for row in find.rows([path], store)] == [tar.BROKEN]


@pytest.mark.parametrize("said", ['"\\ud83d"', "[" * 100_000, "[" * 200 + "]" * 200, "9" * 5_000])
def test_a_hostile_note_costs_itself_alone(tmp_path, store, said):
    note = b'{"license": "CC0", "camera": ' + said.encode() + b"}"
    members = [("1.json", note), ("1.mp4", b"one"), ("2.json", b'{"license": "MIT"}'), ("2.mp4", b"two")]
    rows = find.rows([make(tmp_path / "t.tar", members)], store)
    found = {row["name"]: row for row in listing.write(Catalog(tmp_path / "out"), rows, 1).read().to_pylist()}
    assert sorted(found) == ["t.tar#1.mp4", "t.tar#2.mp4"] and found["t.tar#2.mp4"]["licence"] == "MIT"
    assert [row["refused"] for row in found.values()] == [None, None]


@pytest.mark.parametrize("size", [1 << 70, -5])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.REGTYPE])
def test_a_member_of_no_possible_size_does_not_stop_the_listing(tmp_path, store, size, kind):
    info = special("x.mp4", kind, "good.mp4" if kind == tarfile.SYMTYPE else "")
    info.size = size
    good = make(tmp_path / "good.tar", [("a.mp4", b"good")]).read_bytes()
    (tmp_path / "t.tar").write_bytes(good[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    rows = find.rows([tmp_path / "t.tar"], store)
    found = listing.write(Catalog(tmp_path / "out"), rows, 1).read().to_pylist()
    assert {row["name"]: row["refused"] for row in found}["t.tar#a.mp4"] is None
    assert {row["refused"] for row in found} - {None} <= {tar.BROKEN, tar.UNSAFE} and len(found) == 2
