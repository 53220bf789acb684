import os

import pytest

from manifests.errors import ConfigError
from pipeline.jobs.clip_work import local_path
from pipeline.sources import local

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


def test_every_name_comes_back_as_the_same_file(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text(name)
    found = local.find([tmp_path])
    assert sorted(source.name for source in found) == sorted(NAMES)
    for source in found:
        assert local_path(source.uri).read_text() == source.name


def test_a_name_that_is_not_utf8_is_listed_with_escapes(tmp_path):
    path = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    with open(path, "wb"):
        pass
    (found,) = local.find([tmp_path])
    assert found.name == "bad\\xff.mp4"
    assert local_path(found.uri).exists()


def test_links_and_folders_named_like_videos(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "folder.mp4" / "inside.mp4").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nothing")
    assert [source.name for source in local.find([tmp_path])] == ["dangling.mp4", "folder.mp4/inside.mp4"]


def test_the_sidecar_gives_licences_and_is_no_source(tmp_path):
    (tmp_path / "a.mp4").write_text("x")
    (tmp_path / "b.mp4").write_text("y")
    (tmp_path / "metadata.tsv").write_text("file\tlicense\tattribution\na.mp4\tCC BY 4.0\tSomeone\n")
    a, b = local.find([tmp_path])
    assert a.info == {"licence": "CC BY 4.0", "attribution": "Someone"}
    assert b.info == {}


def test_one_file_twice_is_one_source(tmp_path):
    (tmp_path / "a.mp4").write_text("x")
    assert len(local.find([tmp_path, tmp_path / "a.mp4"])) == 1


def test_a_missing_root_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        local.find([tmp_path / "nowhere"])
