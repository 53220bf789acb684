import re
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from manifests.catalog import Catalog
from manifests.expectations import docs
from manifests.expectations.check import tables
from manifests.schema import stage_schema

HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of a table with a violation in each of two columns, one of a hostile word."""
    catalog = Catalog(tmp_path_factory.mktemp("run"))
    schema = stage_schema({"level_ratio": pa.float64(), "kind": pa.string()})
    row = {"source_id": b"s" * 16, "bucket": 0, "recipe": "r", "status": "ok", "attempts": 1, "kind": "a"}
    rows = [row | {"clip_id": bytes([number]) * 16, "level_ratio": 0.5} for number in range(8)]
    rows[3] |= {"level_ratio": 7.25}
    rows[5] |= {"status": HOSTILE, "error_code": "x"}
    catalog.set_current(catalog.table("audio.level", "r" * 32, schema)).publish("all", rows)
    (found,) = tables(catalog, ["audio.level"], {})
    return [found.result]


class Links(HTMLParser):
    """Everything that a page loads or leads to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in {"href", "src"}]
        self.found += [re.search(r"url=(.*)", value)[1] for name, value in attributes if value and "url=" in value]


def links(page):
    parser = Links()
    parser.feed(page.read_text())
    return [link for link in parser.found if not link.startswith("#")]


def pages(page):
    """All pages that can be reached from one."""
    found, left = {page}, [page]
    while left:
        here = left.pop()
        there = {(here.parent / link.replace("%20", " ")).resolve() for link in links(here)}
        left += there - found
        found |= there
    return found


def test_a_site_is_whole_and_needs_no_network(tmp_path, results):
    found = pages(docs.build(tmp_path / "docs", "a run", results))
    assert all(page.is_file() for page in found) and len(found) == 4  # the way in, the index, the result, the suite
    for page in found:
        text = page.read_text()
        assert "http:" not in text and "https:" not in text and "<script" not in text, page


def test_a_result_shows_the_rows_that_did_it(tmp_path, results):
    found = pages(docs.build(tmp_path / "docs", "a run", results))
    (page,) = [page for page in found if "validations" in page.parts]
    text = page.read_text()
    assert page.parent.parent.parent.name == "level" and "level_ratio is from 0 to 1" in text
    assert "7.25" in text and "03" * 16 in text and "1 of 8 not so" in text
    assert "&lt;script&gt;" in text, "what was found in a row is shown as text"


def test_a_new_site_replaces_the_old_one_and_only_the_last_two_stay(tmp_path, results):
    ways = []
    for _ in range(4):
        index = docs.build(tmp_path / "docs", "a run", results)
        (there,) = set(links(index))
        ways.append(there.partition("/")[0])
    assert len(set(ways)) == 4
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {"index.html", *ways[2:]}
    assert docs.remove(tmp_path / "docs") == 1 + 2 * 3 and not (tmp_path / "docs").exists()
