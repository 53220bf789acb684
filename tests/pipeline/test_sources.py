import json
import os

import pytest

from manifests.catalog import Catalog
from manifests.errors import ConfigError
from pipeline.sources import find, listing
from pipeline.sources.entry import entry
from pipeline.sources.store import Store
from pipeline.sources.uris import local_path

NAMES = [
    "plain.mp4",
    "-dash.mp4",
    "sp ace.mp4",
    "quo'te\".mp4",
    "$(touch x).mp4",
    "new\nline.mp4",
    "é世界.mp4",
    "a%20b.mp4",
]


def rows(*sources):
    return list(find.rows(sources, Store()))


def test_every_name_comes_back_as_the_same_file(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text(name)
    found = rows(tmp_path)
    assert sorted(source["name"] for source in found) == sorted(NAMES)
    for source in found:
        assert local_path(source["uri"]).read_text() == source["name"]


def test_a_name_that_is_not_utf8_is_listed_with_escapes(tmp_path):
    path = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    with open(path, "wb"):
        pass
    (found,) = rows(tmp_path)
    assert found["name"] == "bad\\xff.mp4"
    assert local_path(found["uri"]).exists()


def test_links_and_folders_named_like_videos(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "folder.mp4" / "inside.mp4").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nothing")
    assert [source["name"] for source in rows(tmp_path)] == ["dangling.mp4", "folder.mp4/inside.mp4"]


def test_the_sidecar_gives_licences_and_is_no_source(tmp_path):
    (tmp_path / "a.mp4").write_text("x")
    (tmp_path / "b.mp4").write_text("y")
    (tmp_path / "metadata.tsv").write_text("file\tlicense\tattribution\tcamera\na.mp4\tCC BY 4.0\tSomeone\tX1\n")
    a, b = rows(tmp_path)
    assert (a["licence"], a["attribution"], a["extra"]) == ("CC BY 4.0", "Someone", '{"camera": "X1"}')
    assert (b["licence"], b["attribution"], b["extra"]) == (None, None, None)


def test_hostile_words_of_a_sidecar(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.mp4").write_text(name)
    lines = [
        '{"file": "a.mp4", "licence": "MIT \\ud83d", "n": %s, "half": "\\udcff"}' % ("9" * 5_000),
        '{"file": "b.mp4"}',
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    a, _ = listing.write(Catalog(tmp_path / "out"), rows(tmp_path), 0).read().sort_by("name").to_pylist()
    assert a["licence"] == "MIT \\ud83d" and json.loads(a["extra"]) == {"n": "9" * 5_000, "half": "\ufffd"}
    (tmp_path / "metadata.jsonl").write_text("\n".join([*lines, '{"file": "c.mp4", "x": ' + "[" * 100_000]))
    with pytest.raises(ConfigError, match="row 3 is no JSON object"):
        rows(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", "\ufefffile,licence\r\na.mp4,MIT\r\n"),
        ("metadata.csv", "file_name;License\na.mp4;MIT\n"),
        ("metadata.csv", "File;License\na.mp4;MIT\n"),
        ("metadata.csv", '"FILE"\t"LICENCE"\na.mp4\tMIT\n'),
        ("metadata.csv", 'licence,attribution,file\n"MIT","two\r\nlines",a.mp4\n'),
        ("metadata.tsv", "\ufefflicense,file\rMIT,a.mp4\r"),
        ("metadata.jsonl", '\ufeff{"File": "a.mp4", "License": "MIT"}\n'),
    ],
)
def test_a_sidecar_is_read_however_it_was_saved(tmp_path, capsys, name, text):
    (tmp_path / "a.mp4").write_text("x")
    (tmp_path / name).write_bytes(text.encode())
    assert [(row["name"], row["licence"]) for row in rows(tmp_path)] == [("a.mp4", "MIT")]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("metadata.csv", "id,licence\na.mp4,MIT\n", r"metadata.csv .*no column 'file', only \['id', 'lic"),
        ("metadata.csv", "file|licence\na.mp4|MIT\n", r"no column 'file', only \['file\|licence'\]"),
        ("metadata.csv", "file,Licence,License\na.mp4,MIT,-\n", r"columns \['Licence', 'License'\] are the same"),
        ("metadata.csv", 'file,licence\na.mp4,"MIT\nb.mp4,"MIT"\n', "row at line 2: .*doubled"),
        ("metadata.csv", "file,attribution,licence\na.mp4,Doe, Jane,MIT\n", "row 1 .*more fields than"),
        ("metadata.jsonl", '{"name": "a.mp4", "licence": "MIT"}', r"row 1 has no 'file', only \['licence', 'name'\]"),
    ],
)
def test_a_sidecar_that_would_lose_its_licences_is_refused(tmp_path, name, text, match):
    (tmp_path / "a.mp4").write_text("x")
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=match) as caught:
        rows(tmp_path)
    assert caught.value.code == "source:sidecar" and str(tmp_path / name) in caught.value.message


def test_what_a_sidecar_says_of_no_file_or_twice_is_said_once(tmp_path, capsys):
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "sub/c.mp4"):
        (tmp_path / "in" / name).write_text("x")
    (tmp_path / "in/self").symlink_to("self")
    named = ["a.mp4", "a.mp4", "sub/c.mp4", "./b.mp4", "gone.mp4", "sub", "../in/b.mp4", "self"]
    (tmp_path / "in/metadata.csv").write_text("file,licence\n" + "".join(f"{n},{i}\n" for i, n in enumerate(named)))
    found = rows(tmp_path / "in", tmp_path / "in/a.mp4", tmp_path / "in/*.mp4")
    assert {row["name"]: row["licence"] for row in found}["a.mp4"] == "1"
    nameless, twice = sorted(capsys.readouterr().err.splitlines(), key=lambda line: "twice" in line)
    assert "name no file of their folder: 4, such as './b.mp4' in" in nameless and "in/metadata.csv'" in nameless
    assert "names twice (the last row stands): 1, such as 'a.mp4' in" in twice


def test_links_to_folders_are_told_of(tmp_path, capsys):
    for name in ("in/one", "in/two", "elsewhere", "out/tables"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere/a.mp4").write_text("x")
    (tmp_path / "in/one/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/two/loop").symlink_to(tmp_path / "in")
    assert rows(tmp_path / "in") == []
    assert "which are not entered" in (said := capsys.readouterr().err) and ": 2, such as 'more' in" in said
    (tmp_path / "door").symlink_to(tmp_path / "elsewhere")  # what is given itself is entered
    assert len(rows(tmp_path / "door")) == 1 and capsys.readouterr().err == ""


def test_a_file_uri_is_the_path_that_it_stands_for(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text(name)
    found = rows(tmp_path)
    for source in found:
        assert [row["uri"] for row in rows(source["uri"])] == [source["uri"]]
    assert len(rows(tmp_path.as_uri())) == len(rows(f"file://localhost{tmp_path}/*")) == len(NAMES)
    for uri, match in [
        ("file://host/a.mp4", "another machine"),
        (f"{tmp_path.as_uri()}/t.tar#a.mp4", "give the tar"),
        ("file:///nowhere/a.mp4", "does not exist"),
    ]:
        with pytest.raises(ConfigError, match=match):
            rows(uri)


@pytest.fixture
def shelf(tmp_path):
    """A folder with a sidecar, and one inside it that has its own; both name files of the inner one."""
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in ("a.mp4", "sub/b.mp4", "sub/c.mp4", "sub/d.mp4", "sub/shots.csv"):
        (tmp_path / "in" / name).write_text(name)
    (tmp_path / "in/metadata.tsv").write_text(
        "file\tlicence\turl\na.mp4\tA\thttp://h/a\nsub/c.mp4\tC\t\nsub/b.mp4\t-\t\n"
    )
    (tmp_path / "in/sub/metadata.csv").write_text("file,licence\nb.mp4,B\n")
    return tmp_path / "in"


SAID = {"a.mp4": "A", "b.mp4": "B", "c.mp4": "C", "d.mp4": None, "shots.csv": None}


@pytest.mark.parametrize(
    ("source", "named"),
    [("", "abcds"), ("**", "abcds"), ("*", "abcds"), ("**/*.mp4", "abcd"), ("*/*", "bcds"), ("[s]ub/?.mp4", "bcd"),
     ("*.mp4", "a"), ("*.*", "a"), ("a.mp4", "a")],
)  # fmt: skip
def test_files_have_their_licences_however_they_are_named(shelf, tmp_path, source, named):
    """The sidecar of the folder, else the one above it; none is a source, or a list because a pattern met it."""
    found = listing.write(Catalog(tmp_path / "out"), rows(shelf / source if source else shelf), 0).read().to_pylist()
    said = {row["name"].rpartition("/")[2]: row["licence"] for row in found}
    assert said == {name: SAID[name] for name in SAID if name[0] in named}
    assert all(row["uri"].startswith("file://") and row["refused"] is None for row in found)


@pytest.mark.parametrize("source", ["sub/*.mp4", "sub/c.mp4", "sub", "**", "c*/../sub/c.mp4"])
def test_whoever_says_nothing_takes_no_licence_away(shelf, tmp_path, source):
    (shelf / "cc").mkdir()
    (shelf / "sub/metadata.csv").unlink()
    catalog = Catalog(tmp_path / "out")
    before = listing.write(catalog, rows(shelf), 0).read()
    assert listing.write(catalog, rows(shelf / source), 0).read() == before
    (shelf / "metadata.tsv").write_text("file\tlicence\na.mp4\tA\n")  # it says no more what it said
    again = listing.write(catalog, rows(shelf), 0).read().to_pylist()
    assert {row["name"]: row["licence"] for row in again if row["revision"] == 1}["sub/c.mp4"] is None


def test_of_two_that_name_a_file_the_one_that_says_something_is_heard(shelf, tmp_path):
    (shelf / "sub/metadata.csv").unlink()
    found = listing.write(Catalog(tmp_path / "out"), [*rows(shelf / "sub/c.mp4"), *rows(shelf)], 0).read().to_pylist()
    assert {row["licence"] for row in found if row["uri"].endswith("c.mp4")} == {"C"}


def test_a_list_is_what_is_written_with_its_suffix(shelf):
    for name in ("one.csv", "two.csv"):
        (shelf / name).write_text(f"url\nhttp://h/{name}.mp4\n")
    (shelf / "metadata.csv").write_text("url\nhttp://h/not-this.mp4\n")
    urls = ["http://h/one.csv.mp4", "http://h/two.csv.mp4"]
    assert [row["uri"] for row in rows(shelf / "*.csv")] == urls
    assert [row["uri"] for row in rows(shelf / "one.csv")] == urls[:1]
    assert not any(row["uri"].startswith("http") for row in rows(shelf / "*", shelf))


def test_a_list_that_says_nothing_of_licences_takes_none_away(tmp_path):
    catalog = Catalog(tmp_path / "out")
    (tmp_path / "l.csv").write_text("url,licence\nhttp://h/a.mp4,MIT\n")
    (tmp_path / "bare.csv").write_text("url\nhttp://h/a.mp4\n")
    (tmp_path / "blank.csv").write_text("url,licence\nhttp://h/a.mp4,\n")
    before = listing.write(catalog, rows(tmp_path / "l.csv"), 0).read()
    assert listing.write(catalog, rows(tmp_path / "bare.csv", "http://h/a.mp4"), 0).read() == before
    found = listing.write(catalog, rows(tmp_path / "blank.csv"), 0).read().to_pylist()
    assert {row["revision"]: row["licence"] for row in found} == {0: "MIT", 1: None}


def test_one_file_twice_is_listed_once(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mp4").write_text("x")
    found = rows(tmp_path / "in", tmp_path / "in/a.mp4")
    table = listing.write(Catalog(tmp_path / "out"), found, 1)
    assert len(found) == 2 and len(table.read()) == 1


def test_globs_and_braces(tmp_path):
    for name in ("a-00.mp4", "a-01.mp4", "a-02.mp4", "b.mp4", "[x].mp4"):
        (tmp_path / name).write_text(name)
    assert [row["name"] for row in rows(f"{tmp_path}/a-*.mp4")] == ["a-00.mp4", "a-01.mp4", "a-02.mp4"]
    assert [row["name"] for row in rows(f"{tmp_path}/a-{{01..02}}.mp4")] == ["a-01.mp4", "a-02.mp4"]
    assert [row["name"] for row in rows(f"{tmp_path}/[x].mp4")] == ["[x].mp4"]
    with pytest.raises(ConfigError, match="no file matches"):
        rows(f"{tmp_path}/c-*.mp4")


def test_a_missing_root_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        rows(tmp_path / "nowhere")


def test_listing_again_adds_what_is_new_and_keeps_the_newest_notes(tmp_path):
    catalog = Catalog(tmp_path)
    one = [entry(f"file:///{n}.mp4", f"{n}.mp4", n, "mtime:1", {"licence": "MIT"}) for n in range(50)]
    table = listing.write(catalog, one, 2)
    parts = table.published()
    assert listing.write(catalog, one, 2).published() == parts
    listing.write(catalog, [*one[:49], entry("file:///49.mp4", "49.mp4", 49, "mtime:1", {"licence": "Apache-2.0"})], 2)
    found = table.read().to_pylist()
    assert len(found) == 51 and table.published() > parts
    (changed,) = [row for row in found if row["revision"] == 1]
    assert (changed["name"], changed["licence"]) == ("49.mp4", "Apache-2.0")


def test_the_listing_does_not_depend_on_the_size_of_batches(tmp_path, monkeypatch):
    found = [entry(f"file:///{n}.mp4", f"{n}.mp4", n, "mtime:1") for n in range(500)]
    one = listing.write(Catalog(tmp_path / "one"), found, 3).read()
    monkeypatch.setattr(listing, "BATCH", 7)
    monkeypatch.setattr(listing, "PART", 10)
    two = listing.write(Catalog(tmp_path / "two"), found, 3).read()
    assert one.sort_by("source_key") == two.sort_by("source_key") and len(one) == 500


def test_remote_sources_are_known_from_the_listing(tmp_path):
    catalog = Catalog(tmp_path)
    assert not listing.has_remote(catalog)
    listing.write(catalog, [entry(f"file:///{n}.mp4#x", "x", 1, "mtime:1") for n in range(9)], 1)
    assert not listing.has_remote(catalog)
    listing.write(catalog, [entry("https://example.org/a.mp4", "a", None, "")], 1)
    assert listing.has_remote(catalog)
