"""Sources of every kind through the whole of the data side: outcomes, licences, extra columns, to shards and card."""

import io
import json
import tarfile

import pytest

from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, card, decide, filter, ingest, shard, status, validate


@pytest.fixture
def context(tmp_path, small_preset, one_by_one):
    quick = ["private_hosts=true", "delay_s=0", "backoff_s=0.05", "backoff_max_s=0.2", f"cache={tmp_path / 'cache'}"]
    sets = [f"sources.{item}" for item in quick] + ["engine.max_error_rate=1.0"]
    return Context(tmp_path / "out", load(str(small_preset), sets))


@pytest.fixture
def sources(tmp_path, site, small_sources):
    """A list of urls (good, the same again under another licence, opted out, gone, no media) and a tar."""
    clips = [(small_sources / f"clip{n}.mp4").read_bytes() for n in range(3)]
    site.put("/robots.txt", b"User-agent: *\nDisallow: /private/\n")
    listed = [
        (site.put("/a.mp4", clips[0], cuts=[60_000]), "MIT", 35),
        (site.put("/again.mp4", clips[0]), "CC0", 50),
        (site.put("/private/b.mp4", clips[1]), "MIT", None),
        (site.put("/c.mp4", clips[1], headers=[("X-Robots-Tag", "noai")]), "MIT", None),
        (site.put("/gone.mp4", first=[(404, {})] * 9), "MIT", None),
        (site.put("/page.html", b"<html>no video here</html>"), "MIT", None),
        ("ftp://example.org/x.mp4", "MIT", None),
    ]
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps({"url": u, "licence": licence, "lens": n}) + "\n" for u, licence, n in listed))
    with tarfile.open(tmp_path / "shard-00.tar", "w") as tar:
        for name, data in [
            ("x.json", b'{"license": "CC BY 4.0", "by": "hand"}'),
            ("x.mp4", clips[2]),
            ("../y.mp4", b"z"),
        ]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return [str(path), str(tmp_path / "shard-{00..00}.tar")]


def test_from_lists_and_tars_to_shards_and_card(context, sources, site):
    result = ingest.run(context, sources)
    assert {name: result[name] for name in ("sources", "ok", "ineligible", "duplicate", "quarantined", "pending")} == {
        "sources": 9, "ok": 2, "ineligible": 4, "duplicate": 1, "quarantined": 2, "pending": 0,
    }  # fmt: skip
    rows = {
        row["name"] if "#" in row["name"] else row["name"].rpartition("/")[2]: row
        for row in context.catalog.require("sources", "").read().to_pylist()
    }
    codes = {name: row["error_code"] for name, row in rows.items() if row["error_code"]}
    assert codes == {
        "b.mp4": "source:opted_out",
        "c.mp4": "source:opted_out",
        "gone.mp4": "source:gone",
        "page.html": "media:not_media",
        "x.mp4": "source:bad_url",
        "shard-00.tar#../y.mp4": "source:unsafe_member",
    }
    one, other = rows["a.mp4"], rows["again.mp4"]
    assert (one["licence"], one["outcome"]) == ("MIT", "ok") and json.loads(one["extra"]) == {"lens": 35}
    assert (other["licence"], other["outcome"]) == ("CC0", "duplicate") and other["duplicate_of"] == one["uri"]
    asked = len(site.asked)
    assert ingest.run(context, sources)["done_now"] == 0 and len(site.asked) == asked

    filter.run(context)
    annotate.run(context)
    decide.run(context)
    made = shard.run(context)
    assert made["ok"] == result["clips"] == 4
    assert validate.run(context.catalog)[0]["failed"] == []
    described = []
    for name in (row["name"] for row in made["shards"]):
        with tarfile.open(context.out / "shards" / made["generation"] / name) as tar:
            described += [json.load(tar.extractfile(m)) for m in tar if m.name.endswith(".json")]
    said = {about["source"]["name"].rpartition("/")[2]: about["source"] for about in described}
    assert said["a.mp4"]["extra"] == {"lens": 35} and said["a.mp4"]["licence"] == "MIT"
    assert said["shard-00.tar#x.mp4"]["extra"] == {"by": "hand"}
    assert said["shard-00.tar#x.mp4"]["licence"] == "CC BY 4.0"
    card.run(context)
    text = (context.out / "shards" / made["generation"] / "README.md").read_text()
    assert "| MIT | CC0 | 1 | 1 |" in text and "by, lens" in text
    assert status.of(context.catalog)["sources"]["pending"] == 0
