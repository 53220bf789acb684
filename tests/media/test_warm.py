"""A warm child answers many questions, and a question that ends it costs nobody else anything."""

import sys

import pytest

from manifests.errors import MediaError
from media.child import Limits
from media.warm import Warm

PROGRAM = """
import os, signal, sys, time
for line in sys.stdin:
    word = line.strip()
    if word == "die": os.kill(os.getpid(), signal.SIGSEGV)
    if word == "leave": sys.exit(3)
    if word == "hang": time.sleep(100)
    if word == "hog": held = bytearray(300 << 20); held[::4096] = b"x" * len(held[::4096]); time.sleep(100)
    print(f"{word} {os.getpid()}", flush=True)
"""


@pytest.fixture
def warm():
    child = Warm([sys.executable, "-c", PROGRAM], lives=5)
    yield child
    child.stop()


def pid(answer):
    return int(answer.split()[1])


def test_one_process_answers_many(warm):
    answers = [warm.ask(f"q{n}", Limits()) for n in range(5)]
    assert [answer.split()[0] for answer in answers] == ["q0", "q1", "q2", "q3", "q4"]
    assert len({pid(answer) for answer in answers}) == 1
    assert pid(warm.ask("next", Limits())) != pid(answers[0])  # replaced after its five


@pytest.mark.parametrize(
    ("word", "limits", "code"),
    [
        ("die", Limits(), "media:crash"),
        ("leave", Limits(), "media:crash"),
        ("hang", Limits(timeout_s=0.3), "media:timeout"),
        ("hog", Limits(max_rss=200 << 20), "media:memory"),
    ],
)
def test_a_question_is_blamed_for_what_it_does(warm, word, limits, code):
    warm.ask("before", Limits())
    with pytest.raises(MediaError) as caught:
        warm.ask(word, limits)
    assert caught.value.code == code
    assert warm.ask("after", Limits()).startswith("after ")
