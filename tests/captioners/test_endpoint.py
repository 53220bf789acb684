"""Captions by an endpoint: a real server that misbehaves; no clip lost, none twice, no answer paid for twice."""

import json
import time
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from captioners.caption import answer, audio_endpoint, chat, fused_endpoint, prompt, video_endpoint
from captioners.caption.pace import Bucket
from manifests.errors import BackendAbsent, ConfigError, KlearError, MachineError
from manifests.journal import Journal
from media.clip import Clip
from media.views import AUDIO_16K, Views
from tests.chat_server import FAULTS, question_id, serving

QUICK = {"backoff_s": 0.01, "backoff_max_s": 0.05, "timeout_s": 20.0}


def stage(url, kind=audio_endpoint, **params):
    return kind.STAGE(url=url, model="m", licence="Apache-2.0", **{**QUICK, **params})


def given(number, made=None):
    """A clip, its views and no facts; each number sounds and looks different."""
    clip = Clip(number.to_bytes(16, "big"), bytes(16), "", 0, 75, Fraction(25), 64, 48, 44_100, 2)
    rng = np.random.default_rng(number)
    arrays = {AUDIO_16K: rng.uniform(-0.5, 0.5, 1600).astype(np.float32)}
    times = {}
    for view in made.VIEWS if made else ():
        if view != AUDIO_16K:
            arrays[view] = rng.integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
            times[view] = np.arange(4) / 2
    return clip, Views(arrays, times=times), {}


def asked_for(made, one):
    return question_id(made.body(*one))


def test_every_clip_gets_its_own_answer(tmp_path):
    clips = [given(number) for number in range(40)]
    with serving(share=0.3, slow_s=2.5) as server:
        made = stage(server.url, concurrency=8, attempts=12, timeout_s=2.0)
        made.remember(Journal(tmp_path, "b0000-part"))
        started = time.monotonic()
        rows = made.many(clips)
        seconds = time.monotonic() - started
        for row, one in zip(rows, clips, strict=True):
            name = asked_for(made, one)
            assert (row["caption"], row["caption_short"]) == (f"A dense caption of {name}.", f"Short {name}.")
            assert set(row) == set(made.COLUMNS)
        fates = Counter(entry["fate"] for entry in server.log if entry["event"] == "asked")
        assert server.most_busy <= 8 and len(fates) > 6
        before = len(server.questions())
        again = stage(server.url)
        again.remember(Journal(tmp_path, "b0000-part"))
        assert again.many(clips) == rows and len(server.questions()) == before
    print(f"\n40 clips, {before} requests, {seconds:.1f} s: {dict(fates)}; again: 0 requests")


@pytest.mark.parametrize("fault", [*FAULTS, "503", "too_long", "not_json"])
def test_a_fault_is_met_by_another_try(fault):
    patient_s = 0.5 if fault == "slow" else 20.0
    with serving(script=[fault, fault], slow_s=1.5) as server:
        row = stage(server.url, timeout_s=patient_s)(*given(1))
        assert row["caption"].startswith("A dense") and len(server.questions()) == 3
        paid = {"malformed", "wrong_fields", "too_long"}
        assert row["tokens"] == (150 if fault in paid else 50)  # what was thrown away was paid for too
        assert row["seed"] == 2  # no fault twice with the same draws


@pytest.mark.parametrize(
    ("fault", "code", "kind", "requests"),
    [
        ("busy", "caption:busy", MachineError, 3),
        ("broken", "caption:unavailable", KlearError, 3),
        ("malformed", "caption:malformed", KlearError, 3),
        ("slow", "caption:timeout", KlearError, 3),
        ("400", "caption:rejected", KlearError, 1),
        ("401", "caption:denied", MachineError, 1),
        ("404", "caption:denied", MachineError, 1),
        ("302", "caption:denied", MachineError, 1),
    ],
)
def test_tries_are_finite(fault, code, kind, requests):
    """Whose fault it is decides: a clip's is a row, the endpoint's stops the job."""
    patient_s = 0.3 if fault == "slow" else 20.0
    with serving(script=[fault] * 20, slow_s=1.0) as server, pytest.raises(KlearError) as caught:
        stage(server.url, attempts=3, timeout_s=patient_s)(*given(1))
    assert caught.value.code == code and isinstance(caught.value, MachineError) == (kind is MachineError)
    assert len(server.questions()) == requests


def test_nobody_there():
    with serving() as server:
        url = server.url
    with pytest.raises(MachineError) as caught:
        stage(url, attempts=2)(*given(1))
    assert caught.value.code == "caption:unreachable" and url in caught.value.message


def test_patience_ends():
    with serving(script=["busy"] * 20) as server, pytest.raises(MachineError, match="after 2 attempts"):
        stage(server.url, patience_s=1.2, backoff_s=1.0, backoff_max_s=1.0, attempts=20)(*given(1))


@pytest.mark.parametrize(
    "choice", [{}, {"message": None}, {"message": {"content": ["parts"]}}, {"message": {"refusal": "No."}}]
)
def test_odd_completions_are_no_crash(choice):
    made = chat.Chat(stage("http://x").settings, {}, lambda tokens: None)
    try:
        made._judge(made._read(json.dumps({"choices": [choice]}).encode(), 0.1))
    except (chat._Again, KlearError) as error:
        assert error.code in {"caption:unavailable", "caption:refused"}


def test_a_bad_clip_does_not_cost_its_neighbours(tmp_path):
    with serving(script=["400"]) as server:
        made = stage(server.url, concurrency=1)
        rows = made.many([given(1), given(2)])
        assert isinstance(rows[0], KlearError) and rows[0].code == "caption:rejected"
        assert rows[1]["caption"] and len(server.questions()) == 2


def test_retry_after_is_obeyed_by_all():
    with serving(script=["busy_wait"]) as server:
        stage(server.url, backoff_max_s=5.0, concurrency=2).many([given(number) for number in range(12)])
        times = [entry["time"] for entry in server.log if entry["event"] == "asked"]
    assert sum(moment - times[0] > 0.95 for moment in times) >= 6  # the other slot may have sent a few before it heard
    assert chat._retry_after("2.5") == 2.5 and chat._retry_after(None) is None and chat._retry_after("soon") is None
    assert chat._retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0


def test_the_pace_is_kept():
    with serving() as server:
        stage(server.url, requests_per_s=10.0, concurrency=8).many([given(n) for n in range(8)])
        times = [entry["time"] for entry in server.log if entry["event"] == "asked"]
        assert times[-1] - times[0] > 0.6
        made = stage(server.url, tokens_per_minute=60_000, concurrency=1)  # 1,000 a second, 10,000 at once
        started = time.monotonic()
        made.many([given(n) for n in range(15)])  # 750 each
        assert time.monotonic() - started > 0.4
    bucket = Bucket(10.0, 0.0)
    assert bucket.wait_s() == 0
    bucket.take(1)
    assert 0.05 < bucket.wait_s() <= 0.1


def test_the_budget_is_a_hard_stop_and_raising_it_goes_on(tmp_path):
    clips = [given(number) for number in range(12)]
    with serving() as server:
        for writer in range(2):  # the second process knows what the first one spent
            made = stage(server.url, budget_tokens=3000, concurrency=2)
            made.remember(Journal(tmp_path, f"b0000-{writer}"))
            with pytest.raises(MachineError) as caught:
                made.many(clips)
            assert caught.value.code == "caption:budget" and "budget_tokens = 3,000" in caught.value.message
            assert 4 <= len(server.questions()) <= 5  # 750 tokens each; one more was under way
        more = stage(server.url, budget_tokens=30_000)
        more.remember(Journal(tmp_path, "b0000-0"))
        assert all(row["caption"] for row in more.many(clips))
        assert len(server.questions()) == 12
    with serving(usage=False) as server, pytest.raises(MachineError) as caught:
        stage(server.url, budget_tokens=3000)(*given(1))
    assert caught.value.code == "caption:usage"


def test_a_torn_line_counts_as_nothing(tmp_path):
    journal = Journal(tmp_path, "b0001-part")
    journal.put(b"a" * 16, "k", {"text": "ä\n"})
    with journal.place.open("ab") as file:
        file.write(b'["torn')
    fresh = Journal(tmp_path, "b0001-part")
    fresh.put(b"b" * 16, "k", {"text": "after"})
    found = Journal(tmp_path, "b0001-part")
    assert found.get(b"a" * 16, "k") == {"text": "ä\n"} and found.get(b"b" * 16, "k") == {"text": "after"}
    assert found.get(b"a" * 16, "other") is None and found.place.parent.name == "b0001"


def test_what_is_sent(monkeypatch):
    monkeypatch.setenv("THE_KEY", "sk-1")
    facts = {
        "transcribe.whisperx": {"text": "Hello there."},
        "audio.voices": {"speakers": 2},
        "audio.classes": {"tags": [{"label": "Dog", "score": 0.8}, {"label": "Cat", "score": 0.1}]},
    }
    with serving() as server:
        options = {"key_env": "THE_KEY", "facts": ["transcript", "speakers", "tags"], "extra": {"top_k": 3}}
        made = stage(server.url, fused_endpoint, sound="flac", **options)
        clip, views, _ = given(1, made)
        row = made(clip, views, facts)
        asked = server.log[0]
        assert asked["path"] == "/v1/chat/completions" and asked["key"] == "Bearer sk-1"
        body = asked["body"]
        assert body["top_k"] == 3 and body["seed"] == 0 and body["response_format"]["type"] == "json_schema"
        words, sound, at, first, *_ = body["messages"][1]
        for said in ('"Hello there."', "told apart: 2", "Dog", '"off_screen"'):
            assert said in words
        assert "Cat" not in words
        assert sound == ["audio", "flac", b"fLaC\0\0\0\x22".hex()] and at == "0.0 s:"
        assert first[0] == "data:image/jpeg;base64" and first[1].startswith("ffd8ff")
        assert made.INPUTS == ("transcribe.whisperx", "audio.voices", "audio.classes")
        assert json.loads(row["structured"])["off_screen"] == [] and row["model"] == "m"
        film = stage(server.url, video_endpoint, picture="video")
        film(*given(2, film))
        words, sent = server.log[2]["body"]["messages"][1]
        assert sent[0] == "data:video/mp4;base64" and bytes.fromhex(sent[1])[4:] == b"ftyp"
    plain = stage("http://x", form="words").body(*given(1))
    assert "response_format" not in plain and '"sounds"' in plain["messages"][1]["content"][0]["text"]


def test_the_same_clip_gets_the_same_prompt():
    first, second = stage("http://x"), stage("http://x", seed=1)
    labels = [[made.prompt_of(given(n)[0]).label for n in range(60)] for made in (first, first, second)]
    assert labels[0] == labels[1] != labels[2] and len(set(labels[0])) == 3
    one = stage("http://x", prompt="audio_events")
    assert {one.prompt_of(given(n)[0]).label for n in range(9)} == {"audio_events@1"}
    assert len({stage("http://x").digest(), one.digest(), stage("http://x", video_endpoint).digest()}) == 3
    for kind in ("audio", "video", "fused"):
        assert len(prompt.variants(kind)) >= 2


def test_wrong_settings_are_named(monkeypatch):
    def wrong(**params):
        with pytest.raises(ConfigError) as caught:
            audio_endpoint.STAGE(**{"url": "http://x", "model": "m", "licence": "MIT", **params})
        return caught.value.message

    assert "caption.audio_endpoint" in wrong(url="x") and "http://" in wrong(url="x")
    assert "did you mean 'temperature'" in wrong(temprature=1)
    assert "audio_events" in wrong(prompt="audio_event")
    assert "licence" in wrong(licence="") and "seed" in wrong(extra={"seed": 1})
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(BackendAbsent) as caught:
        stage("http://x", key_env="NO_KEY").digest()
    assert "NO_KEY" in caught.value.message


def test_answers_are_held_against_the_schema():
    whole = {"short": "s", "dense": "d", "sounds": ["rain"], "voices": None, "music": None, "place": "a street"}
    found = answer.parse(f"Sure:\n```json\n{json.dumps(whole)}\n```", answer.AudioAnswer)
    assert (
        answer.columns(found)["structured"]
        == '{"music": null, "place": "a street", "sounds": ["rain"], "voices": null}'
    )
    for bad in ("", "{", "[]", "I cannot help.", json.dumps({**whole, "dense": ""}), json.dumps({**whole, "x": 1})):
        with pytest.raises(KlearError) as caught:
            answer.parse(bad, answer.AudioAnswer)
        assert caught.value.code == "caption:malformed"
    for model in answer.MODELS.values():
        told = answer.schema(model)
        assert told["required"] == list(told["properties"]) and not told["additionalProperties"]
        assert "$ref" not in json.dumps(told)


def test_thoughts_before_the_answer_are_no_answer():
    found = answer.parse('<think>I see {a} dog.</think> {"short": "A dog.", "dense": "A dog barks.", "sounds": [], '
                         '"voices": null, "music": null, "place": null}', answer.AudioAnswer)  # fmt: skip
    assert (found.short, found.dense) == ("A dog.", "A dog barks.")


@pytest.mark.parametrize("dense", ["", "   "])
def test_a_blank_caption_is_malformed(dense):
    told = {"short": "A dog.", "dense": dense, "sounds": [], "voices": None, "music": None, "place": None}
    with pytest.raises(KlearError, match="dense"):
        answer.parse(json.dumps(told), answer.AudioAnswer)
