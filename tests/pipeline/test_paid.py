"""A captioner that asks an endpoint, in a run: what its answers cost is told, and none of them is paid for twice."""

import shutil

import pytest

from manifests import journal
from manifests.errors import KlearError
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, card, decide, filter, ingest, plan, takedown
from tests.chat_server import serving

STAGE = "caption.audio_endpoint"


def context_for(out, preset, url, **params):
    told = {"url": url, "model": "tiny", "licence": "Apache-2.0 (a test)", "key_env": "THE_KEY", **params}
    ref = f"{{name: {STAGE}, params: {told!r}}}"
    return Context(out, load(str(preset), [f"annotate=[{ref}]", "engine.needs={annotate: {clips_at_once: 4}}"]))


@pytest.fixture
def run(tmp_path, small_sources, small_preset, one_by_one, monkeypatch):
    """Annotate once more, with other parameters; the context and what the job told."""
    monkeypatch.setenv("THE_KEY", "sk-secret")

    def again(url, **params):
        context = context_for(tmp_path / "out", small_preset, url, **params)
        if not (tmp_path / "out").exists():
            ingest.run(context, [small_sources])
            filter.run(context)
        return context, annotate.run(context)

    return again


def test_no_answer_is_paid_for_twice(run):
    price = {"prompt": 2.0, "completion": 4.0}
    with serving() as server:
        context, told = run(server.url, price=price)
        clips = told["ok"]
        assert clips == 10 and len(server.questions()) == 10
        told = told["summary"][STAGE]
        assert (told["prompt_tokens"], told["tokens"], told["tokens_per_clip"]) == (7000, 500, 750)
        assert told["euro"] == pytest.approx((7000 * 2 + 500 * 4) / 1e6)
        assert told["euro_per_million_clips"] == pytest.approx(1600) and told["tokens_per_s_of_a_request"] > 0
        before = context.catalog.current(STAGE)
        rows = before.read().to_pylist()
    with serving() as server:  # another address, another pace: the same captions
        context, _ = run(server.url, concurrency=2, attempts=9)
        assert context.catalog.current(STAGE).recipe == before.recipe
        shutil.rmtree(before.folder)
        context, _ = run(server.url)
        assert context.catalog.current(STAGE).read().to_pylist() == rows and not server.questions()
        context, _ = run(server.url, temperature=0.7)
        assert context.catalog.current(STAGE).recipe != before.recipe and len(server.questions()) == 10
    everything = b"".join(path.read_bytes() for path in context.out.rglob("*") if path.is_file())
    assert b"sk-secret" not in everything and b"127.0.0.1" not in everything


def test_a_job_that_has_spent_its_budget_goes_on_when_it_is_raised(run):
    with serving() as server:
        with pytest.raises(KlearError, match="budget_tokens = 3,000") as caught:
            run(server.url, budget_tokens=3000, concurrency=1)
        assert caught.value.code == "caption:budget" and len(server.questions()) == 4
        _, told = run(server.url, budget_tokens=50_000)
        assert (told["ok"], told["quarantined"]) == (10, 0) and len(server.questions()) == 10


def test_what_is_taken_down_is_forgotten(run):
    with serving() as server:
        context, _ = run(server.url)
    decide.run(context)
    clip = context.catalog.current(STAGE).read().to_pylist()[0]
    assert takedown.run(context, "clip", clip["clip_id"].hex(), "asked for")["answers"] == 1
    left = [name for path in (context.out / "cache").rglob("*.jsonl") for name in journal.lines(path)]
    assert len(left) == 9 and not [name for name in left if name.startswith(clip["clip_id"].hex())]


def test_the_licence_of_what_is_behind_the_endpoint_is_told(run, small_preset):
    with serving() as server:
        context, _ = run(server.url)
    row = next(row for row in plan.licences(context)["licences"] if row["what"] == STAGE)
    assert row == {"what": STAGE, "backend": "endpoint, tiny", "licence": "Apache-2.0 (a test)"}
    card.run(context)
    page = (context.out / "report" / "index.html").read_text()
    assert "Apache-2.0 (a test)" in page and server.url not in page and "THE_KEY" not in page
