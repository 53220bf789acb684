"""Words given to speakers by time."""

from typing import Any

from captioners.speakers import attribute, marked_text, spoken


def words(*spans: tuple[str, float, float]) -> list[dict[str, Any]]:
    return [{"word": w, "start_s": s, "end_s": e, "score": 1.0} for w, s, e in spans]


TURNS = [
    {"speaker": "B", "start_s": 2.0, "end_s": 4.0},
    {"speaker": "A", "start_s": 0.0, "end_s": 2.0},
]
SAID = words(("Hello", 0.1, 0.6), ("there.", 0.6, 1.2), ("Good", 1.8, 2.6), ("day!", 2.6, 3.0), ("Bye.", 4.5, 4.9))


def test_the_largest_overlap_wins_else_the_nearest_turn() -> None:
    assert attribute(SAID, TURNS) == ["A", "A", "B", "B", "B"]


def test_marks_number_the_speakers_as_they_first_speak() -> None:
    assert marked_text("x", SAID, TURNS) == "<S1> Hello there. <S2> Good day! Bye."
    swapped = [{**t, "speaker": {"A": "B", "B": "A"}[t["speaker"]]} for t in TURNS]
    assert marked_text("x", SAID, swapped) == "<S1> Hello there. <S2> Good day! Bye."


def test_one_voice_or_no_turns_gives_no_marks() -> None:
    assert marked_text("Hello there.", SAID[:2], TURNS) == "Hello there."
    assert marked_text("Hello there.", SAID, []) == "Hello there."
    assert marked_text("", [], TURNS) == ""


def test_a_speaker_who_returns_keeps_the_number() -> None:
    turns = [*TURNS, {"speaker": "A", "start_s": 4.4, "end_s": 5.0}]
    assert marked_text("", SAID, turns).endswith("<S2> Good day! <S1> Bye.")


def test_words_under_two_voices_are_marked() -> None:
    turns = [*TURNS, {"speaker": "B", "start_s": 1.0, "end_s": 2.0}, {"speaker": "A", "start_s": 0.5, "end_s": 1.2}]
    told = spoken(SAID, turns)
    assert [w["overlap"] for w in told] == [False, False, False, False, False]
    turns[2]["start_s"] = 0.8
    told = spoken(SAID, turns)
    assert [(w["word"], w["overlap"]) for w in told][:2] == [("Hello", False), ("there.", True)]
    assert [w["speaker"] for w in told] == attribute(SAID, turns) and told[0]["score"] == 1.0
    assert [(w["speaker"], w["overlap"]) for w in spoken(SAID, [])] == [(None, False)] * 5
