"""Lists of urls: every row is listed, with all of its columns, whatever its url is."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.catalog import Catalog
from manifests.errors import BackendAbsent, ConfigError
from pipeline.sources import find, listing, urls, ytdlp

ROWS = [
    {"url": "https://example.org/v/a%20b.mp4?x=1#t=3", "license": "CC BY 4.0", "attribution": "Me", "camera": "X1"},
    {"url": "http://example.org/é.mp4", "license": "", "attribution": "", "camera": ""},
    {"url": "", "license": "MIT", "attribution": "", "camera": ""},
    {"url": "javascript:alert(1)", "license": "", "attribution": "", "camera": ""},
    {"url": "file:///etc/passwd", "license": "", "attribution": "", "camera": ""},
]


def write(path):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([{k: v or None for k, v in row.items()} for row in ROWS]), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(ROWS[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(ROWS)
    return path


def test_a_row_with_more_fields_than_columns_costs_itself_alone(tmp_path, make_store):
    (tmp_path / "a.csv").write_text("url,by,licence\nhttps://e.org/1.mp4,Doe, Jane,MIT\nhttps://e.org/2.mp4,Me,MIT\n")
    one, two = find.rows([tmp_path / "a.csv"], make_store())
    assert (one["refused"], one["licence"]) == (urls.BAD, None)
    assert (two["refused"], two["licence"]) == (None, "MIT")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl"])
def test_lists_of_every_kind(tmp_path, make_store, suffix):
    a, e, *bad = find.rows([write(tmp_path / f"list.{suffix}")], make_store())
    assert (a["uri"], a["name"]) == ("https://example.org/v/a%20b.mp4?x=1", "example.org/v/a b.mp4")
    assert (a["url"], a["licence"], a["attribution"]) == (a["uri"], "CC BY 4.0", "Me")
    assert json.loads(a["extra"]) == {"camera": "X1"} and e["extra"] is None
    assert (a["bytes"], a["version"], a["refused"]) == (None, "", None)
    assert [row["refused"] for row in bad] == [urls.BAD] * 3
    assert len({row["source_key"] for row in [a, e, *bad]}) == 5


def test_columns_of_other_types_become_text(tmp_path, make_store):
    table = pa.table({"url": ["http://h/a"], "n": [3], "x": [float("nan")], "tags": [["a", "b"]], "raw": [b"\xff"]})
    pq.write_table(table, tmp_path / "l.parquet")
    (row,) = find.rows([tmp_path / "l.parquet"], make_store())
    assert json.loads(row["extra"]) == {"n": 3, "raw": "b'\\xff'", "tags": ["a", "b"]}


def test_a_list_without_urls_says_what_it_has(tmp_path, make_store):
    (tmp_path / "l.csv").write_text("link,licence\nhttp://h/a,MIT\n")
    with pytest.raises(ConfigError, match="no column 'url', only"):
        list(find.rows([tmp_path / "l.csv"], make_store()))


def test_lists_of_one_name_keep_their_bad_rows_apart(tmp_path, make_store):
    lists = [tmp_path / name / "l.csv" for name in "ab"]
    for path in lists:
        path.parent.mkdir()
        path.write_text("url\n-\n")
    found = list(find.rows(lists, make_store()))
    assert [row["uri"] for row in found] == [f"list:{path} row 1" for path in lists]
    assert len({row["source_key"] for row in found}) == 2


@pytest.mark.parametrize(("name", "comma"), [("l.csv", ","), ("l.tsv", "\t"), ("l.csv", ";")])
def test_quotes_are_read_by_the_rules_and_not_past_them(tmp_path, make_store, name, comma):
    good = ["url,attribution", "http://h/1,'two\r\nlines ''so'' it'", "http://h/2,it is ''fine'", "http://h/3,''"]
    (tmp_path / name).write_text("\r\n".join(good).replace(",", comma).replace("'", '"'), newline="")
    found = list(find.rows([tmp_path / name], make_store()))
    assert [row["attribution"] for row in found] == ['two\r\nlines "so" it', 'it is ""fine"', None]
    for tail in ('"so" it is,http://h/4', '"so,http://h/4\r\nb,http://h/5', '"so,http://h/4\r\n"b",http://h/5'):
        text = f"attribution,url\r\na,http://h/1\r\n{tail}\r\n"
        (tmp_path / name).write_text(text.replace(",", comma), newline="")
        with pytest.raises(ConfigError, match=f"{name} cannot be read as a list of urls: the row at line 3.*doubled"):
            list(find.rows([tmp_path / name], make_store()))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_columns_are_known_in_any_case_and_once(tmp_path, make_store, suffix):
    path = tmp_path / f"l.{suffix}"

    def write(*names):
        values = ["http://h/a", *names[1:]]
        if suffix == "parquet":
            pq.write_table(pa.Table.from_arrays([pa.array([value]) for value in values], names=names), path)
        elif suffix == "csv":
            path.write_text(f"{','.join(names)}\n{','.join(values)}\n")
        else:
            path.write_text(json.dumps(dict(zip(names, values, strict=True))))
        return list(find.rows([path], make_store()))

    (row,) = write("URL", "License", "Attribution", "Camera")
    assert (row["uri"], row["licence"], row["attribution"]) == ("http://h/a", "License", "Attribution")
    assert json.loads(row["extra"]) == {"Camera": "Camera"}
    for twice in [("Licence", "License"), ("licence", "LICENCE"), ("camera", "camera")]:
        if suffix != "jsonl" or len(set(twice)) == 2:
            with pytest.raises(ConfigError, match="are the same") as caught:
                write("url", *twice)
            assert str(list(twice)) in caught.value.message


@pytest.mark.parametrize(
    ("name", "data"), [("l.parquet", b"PAR1xx"), ("l.jsonl", b"{\n"), ("l.csv", b"url\n\xff\xfe\n")]
)
def test_a_damaged_list_is_an_error_of_the_caller(tmp_path, make_store, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match="cannot be read as a list"):
        list(find.rows([tmp_path / name], make_store()))


HOSTILE = {
    "half": '"\\ud83d"',
    "half_of_a_byte": '"\\udcff"',
    "deep": "[" * 100_000 + "]" * 100_000,
    "deeper_than_is_kept": "[" * 200 + "]" * 200,
    "long": "9" * 5_000,
    "no_number": "[NaN, -Infinity, 1e999]",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_row_costs_itself_alone(tmp_path, make_store, kind):
    """Of a list of three, the row in the middle: all three are listed, and what is kept of it is UTF-8 and JSON."""
    notes = "".join(f', "{name}": {HOSTILE[kind]}' for name in ("licence", "transcript", "other"))
    good = '{"url": "https://example.org/%s.mp4", "licence": "MIT"}'
    lines = [good % "a", '{"url": "https://example.org/b.mp4"' + notes + "}", good % "c"]
    (tmp_path / "l.jsonl").write_text("\n".join(lines))
    table = listing.write(Catalog(tmp_path / "out"), find.rows([tmp_path / "l.jsonl"], make_store()), 1)
    found = {row["name"]: row for row in table.read().to_pylist()}
    assert len(found) == 3 and {"example.org/a.mp4", "example.org/c.mp4"} < set(found)
    (row,) = [row for name, row in found.items() if name not in {"example.org/a.mp4", "example.org/c.mp4"}]
    assert row["refused"] == (urls.BAD if "deep" in kind else None)
    json.dumps(json.loads(row["extra"] or "{}"), ensure_ascii=False, allow_nan=False).encode()


def test_a_list_that_starts_with_a_bad_line_is_read_on(tmp_path, make_store):
    (tmp_path / "l.jsonl").write_text('{"url": \n[]\n{"url": "https://example.org/a.mp4"}\n')
    rows = list(find.rows([tmp_path / "l.jsonl"], make_store()))
    assert [row["refused"] for row in rows] == [urls.BAD, urls.BAD, None]
    assert len({row["source_key"] for row in rows}) == 3


def test_a_single_url_and_unknown_schemes(make_store):
    (row,) = find.rows(["https://example.org/a.mp4"], make_store())
    assert row["uri"] == "https://example.org/a.mp4"
    with pytest.raises(ConfigError, match="known are paths and"):
        list(find.rows(["ftp://example.org/a.mp4"], make_store()))


def test_pages_need_the_extra(make_store, monkeypatch):
    monkeypatch.setattr(ytdlp.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendAbsent, match=r"pip install 'klear\[ytdlp\]'"):
        list(find.rows(["ytdlp:https://example.org/page"], make_store()))
