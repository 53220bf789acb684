import duckdb
import pytest
import yaml

from manifests import card

SHA = "ab" * 32


@pytest.fixture
def con():
    """Three samples of two sources in one shard, and a fourth that could not be encoded."""
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE clips AS SELECT * FROM (VALUES (1, 640, 360, 25, 1, 50), (2, 640, 360, 25, 1, 75),"
        " (3, 320, 240, 30, 1, 60), (4, 320, 240, 30, 1, 60)) t(clip_id, width, height, fps_num, fps_den, frames)"
    )
    con.execute("""CREATE TABLE samples AS SELECT * FROM (VALUES
        (1, 10, 'train', 'music', ['T2AV', 'T2A'], 'ok', 'shard-00000.tar'),
        (2, 10, 'train', 'single_speech', ['T2AV'], 'ok', 'shard-00000.tar'),
        (3, 20, 'val', 'music', ['T2V'], 'ok', 'shard-00000.tar'),
        (4, 20, 'val', 'music', ['T2V'], 'quarantined', NULL))
        t(clip_id, source_id, split, audio_class, tasks, status, shard)""")
    con.execute(
        f"CREATE TABLE shards AS SELECT 'g0002' AS generation, 'shard-00000.tar' AS shard, 3 AS count,"
        f" 1234567 AS bytes, '{SHA}' AS sha256, ['clip_id', 'texts'] AS fields, ['audio'] AS texts"
    )
    con.execute("""CREATE TABLE sources AS SELECT * FROM (VALUES
        (10, 'ok', 'a|b.mp4', 'CC BY 4.0', 'Ada', 'https://example.org/a', '{"lens": 35, "by_ai": false}'),
        (20, 'ok', 'c.mp4', NULL, NULL, NULL, NULL),
        (10, 'duplicate', 'copy.mp4', 'CC BY 4.0', NULL, NULL, '{"other": 1}'))
        t(source_id, outcome, name, licence, attribution, url, extra)""")
    con.execute("CREATE TABLE verdicts AS SELECT 1 AS clip_id, ['av_offset'] AS unmeasured")
    con.execute(
        "CREATE TABLE \"transcribe.whisperx\" AS SELECT * FROM (VALUES (2, 'de', 'guten Tag'), (3, 'fr', ''))"
        " t(clip_id, language, text)"
    )
    return con


STAGES = [
    {
        "name": "caption.audio_template",
        "version": 3,
        "licence": "Apache-2.0 (klear)",
        "params": {},
        "recipe": "c0ffee" * 5,
        "n": 4,
        "ok": 4,
        "quarantined": 0,
        "backends": [{"backend": "template", "model": None, "prompt_version": "t-1", "n": 4}],
    },
    {
        "name": "semantic.imagebind",
        "version": 1,
        "licence": "non-commercial",
        "params": {},
        "absent": "ImageBind's checkpoint is absent: put it there",
    },
]
POLICY = {
    "name": "demo",
    "text": "For tests.",
    "gates": [
        {
            "gate": "loudness",
            "conditions": ["audio.loudness.rms_db at least -60"],
            "joined": "and",
            "classes": "all classes",
            "measured": 4,
            "rejected": 1,
            "alone": 1,
            "source": "Ovi",
        }
    ],
}


def read(tmp_path, con):
    path = card.write(tmp_path, con, STAGES, POLICY)
    _, header, text = path.read_text().split("---\n", 2)
    return path, yaml.safe_load(header), text


def test_the_header_is_what_the_hub_reads(tmp_path, con):
    path, header, _ = read(tmp_path, con)
    assert path == tmp_path / "shards" / "g0002" / "README.md"
    assert (header["license"], header["license_name"]) == ("other", "mixed")
    assert header["language"] == ["de", "en"]
    assert header["task_categories"] == ["text-to-audio", "text-to-video"]
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"] == [{"split": "full", "path": "shard-*.tar"}]


def test_counts_leave_out_what_is_in_no_shard(tmp_path, con):
    _, _, text = read(tmp_path, con)
    assert "3 clips of video with sound, 7.0 s in all, from 2 sources" in text
    assert "| train | 2 | 1 | 5.0 s |" in text and "| val | 1 | 1 | 2.0 s |" in text
    assert "| music | 2 | 4.0 s | 1 | 0 | 0 | 1 | 1 |" in text
    assert "Durations: 2.00 s to 3.00 s, median 2.00 s." in text
    assert f"| shard-00000.tar | 3 | `{SHA}` |" in text


def test_sources_keep_licence_and_attribution_and_cannot_break_the_table(tmp_path, con):
    _, _, text = read(tmp_path, con)
    assert r"| a\|b.mp4 | 2 | CC BY 4.0 | Ada | https://example.org/a |" in text
    assert "| not stated | 1 | 1 | 2.0 s |" in text and "copy.mp4" not in text
    assert "without a stated licence" in text


def test_many_sources_are_grouped(tmp_path, con, monkeypatch):
    monkeypatch.setattr(card, "LISTED", 1)
    _, _, text = read(tmp_path, con)
    assert "| CC BY 4.0 | Ada | 1 | 2 |" in text and "| c.mp4" not in text


def test_who_wrote_the_captions_and_what_they_cannot_say(tmp_path, con):
    _, _, text = read(tmp_path, con)
    assert r"| caption.audio\_template | template |  | t-1 | 4 |" in text
    assert "They say only what was measured" in text
    assert "`semantic.imagebind` did not run: ImageBind's checkpoint is absent." in text
    assert "Undecided here: `av_offset` on 1 samples." in text
    assert "hpss_residual" not in text


def test_every_table_has_rows_of_one_width(tmp_path, con):
    _, _, text = read(tmp_path, con)
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 10
    for block in blocks:
        assert len({line.replace(r"\|", "").count("|") for line in block.strip().split("\n")}) == 1, block


def test_writing_again_gives_the_same_bytes(tmp_path, con):
    first = read(tmp_path, con)[0].read_bytes()
    assert read(tmp_path, con)[0].read_bytes() == first


@pytest.mark.parametrize(
    ("licences", "wanted"),
    [
        (["CC BY 3.0 (Blender Foundation)"], "cc-by-3.0"),
        (["CC-BY-NC-SA 4.0"], "cc-by-nc-sa-4.0"),
        (["MIT", "MIT License"], "mit"),
        (["MIT", "CC BY 4.0"], "other"),
        (["public domain"], "other"),
        (["GRID corpus (CC BY 4.0 on Zenodo); repo MIT"], "other"),
    ],
)
def test_licences_in_the_words_of_the_hub(licences, wanted):
    assert card.licence_id(licences) == wanted


@pytest.mark.parametrize(("count", "wanted"), [(0, "n<1K"), (1000, "1K<n<10K"), (81_000_000, "10M<n<100M")])
def test_size_categories(count, wanted):
    assert card.size_category(count) == wanted


def test_other_licences_of_the_same_content_are_shown(con):
    facts = card.gather(con)
    assert facts["contested"] == [] and facts["extra"] == ["by_ai", "lens"]
    con.execute(
        "INSERT INTO sources VALUES (10, 'duplicate', 'd.mp4', 'All rights reserved', NULL, NULL, NULL),"
        " (10, 'duplicate', 'e.mp4', NULL, NULL, NULL, NULL), (20, 'duplicate', 'f.mp4', NULL, 'x', NULL, NULL)"
    )
    assert card.gather(con)["contested"] == [
        {"here": "CC BY 4.0", "there": "All rights reserved", "sources": 1, "uris": 1},
        {"here": "CC BY 4.0", "there": "not stated", "sources": 1, "uris": 1},
    ]
    text = card.render({**card.gather(con), "stages": STAGES, "policy": POLICY, "limits": []})
    assert "| CC BY 4.0 | All rights reserved | 1 | 1 |" in text and "by\\_ai, lens" in text
