"""The hallucination guard, rule by rule, on what Whisper really said over music and over speech."""

from dataclasses import replace

import pytest

from captioners.transcribe import guard
from captioners.transcribe.guard import Evidence, Limits
from captioners.transcribe.words import Heard, Segment, Word

SPEECH = Evidence(speech_spans=[(0.5, 2.4)], speech_ratio=0.63, audio_class="speech")
MUSIC = Evidence(speech_spans=[(0.0, 1.2)], speech_ratio=0.12, audio_class="music")


def judge(
    segments: list[Segment], evidence: Evidence, limits: Limits | None = None
) -> tuple[list[Segment], str | None]:
    return guard.judge(Heard(segments, "en", None, "whisper"), evidence, limits)


def segment(text: str, start_s: float = 0.6, step_s: float = 0.3) -> Segment:
    """A believable segment, its words evenly spaced."""
    words = [Word(w, start_s + i * step_s, start_s + (i + 1) * step_s, 0.9) for i, w in enumerate(text.split())]
    return Segment(text, start_s, words[-1].end_s, -0.25, 0.01, 0.8, tuple(words))


def test_plain_speech_is_untouched() -> None:
    said = segment("Lay white by s zero again.")
    assert judge([said], SPEECH) == ([said], None)
    assert judge([said], Evidence()) == ([said], None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"compression_ratio": 2.5}, "repetition"),
        ({"avg_logprob": -1.31}, "low_logprob"),
        ({"no_speech_prob": 0.93, "avg_logprob": -0.7}, "no_speech"),
    ],
)
def test_whispers_own_doubts_drop_a_segment(change: dict[str, float], reason: str) -> None:
    assert judge([replace(segment("Lay white by s zero."), **change)], SPEECH) == ([], reason)


@pytest.mark.parametrize("text", ["Thank you.", "Thanks for watching!", "you", "BYE-BYE.", "Oh, yeah, yeah."])
def test_a_phantom_phrase_needs_doubt(text: str) -> None:
    assert judge([segment(text, 0.1)], MUSIC) == ([], "phantom_phrase")
    assert judge([segment(text)], SPEECH)[1] is None
    assert judge([replace(segment(text), no_speech_prob=0.5)], SPEECH) == ([], "phantom_phrase")


@pytest.mark.parametrize(
    "text",
    [
        "Thank you. Thank you.",
        "Thank you, thank you, thank you.",
        "Thanks for watching! Thanks for watching!",
        "Thank you for watching this video.",
        "Please subscribe to my channel.",
        "Thank you so much for watching!",
        "Thank you very much for watching and I'll see you next time.",
        "Thank you very much for watching and I’ll see you in the next video. Bye!",
        "Let me know in the comments below",
        "[Music] Thank you.",
        "Untertitel der Amara.org-Community",
        "Untertitelung des ZDF, 2020",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "ご視聴ありがとうございました",
        "ご視聴ありがとうございました。ご視聴ありがとうございました。",
        "Продолжение следует...",
        "谢谢观看",
        "请不吝点赞 订阅",
        "Gracias por ver el video.",
        "Subtítulos por la comunidad de Amara.org",
        "Obrigado por assistir",
    ],
)
def test_phantoms_come_repeated_joined_and_in_many_languages(text: str) -> None:
    assert judge([segment(text, 0.1)], MUSIC) == ([], "phantom_phrase")
    assert guard.drop_reason(segment(text, 0.1), SPEECH, Limits()) is None


@pytest.mark.parametrize(
    "text", ["(upbeat music)", "[Music]", "♪♪♪", "（音楽）", "* * *", "[Applause] (laughter)", "..."]
)
def test_brackets_and_symbols_are_no_speech_whatever_the_clip(text: str) -> None:
    assert judge([segment(text)], SPEECH) == ([], "phantom_phrase")


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for the flowers.",
        "Thank you for coming to our house today",
        "Please subscribe the form and send it back",
        "Thank you and your brother.",
        "So you see the end of the street",
        "♪ Row your boat ♪",
        "(Come in!) Good evening",
        "谢谢你的花",
        "Gracias por la cena",
        "Merci pour le repas",
        "Okay, thanks, the key is here",
        "42",
    ],
)
def test_a_phrase_inside_a_sentence_is_no_phantom(text: str) -> None:
    said = segment(text, 0.1, step_s=0.1)
    assert judge([said], MUSIC)[0] == [said]


def test_words_outside_speech_go_and_the_rest_stays() -> None:
    kept, reason = judge([segment("now and then somebody writes more than was said", step_s=0.32)], SPEECH)
    assert reason == "outside_speech"
    assert kept[0].text == "now and then somebody writes more than"  # "was" starts 2.84 s, past 2.4 s + 0.3 s
    assert judge([segment("too late", 9.0)], SPEECH) == ([], "outside_speech")


def test_singing_needs_no_speech_spans() -> None:
    sung = segment("row row row your boat", 3.0)
    assert judge([sung], Evidence(speech_spans=[], speech_ratio=0.0, audio_class="singing", singing=True))[0] == [sung]


def test_silence_is_known_only_where_it_was_measured() -> None:
    assert Evidence(speech_spans=[]).silent
    assert not Evidence(speech_spans=[], singing=True).silent
    assert not Evidence(speech_spans=None).silent


def test_reasons_are_joined_once_each() -> None:
    bad = replace(segment("a b"), avg_logprob=-2.0)
    loop = replace(segment("c d"), compression_ratio=9.0)
    assert judge([bad, bad, loop], SPEECH, Limits()) == ([], "low_logprob+repetition")


@pytest.mark.parametrize(
    ("language", "probability", "made_up"), [("de", 0.9, True), ("de", 0.5, False), ("en", 1, False)]
)
def test_english_written_over_german_is_made_up(language: str, probability: float, made_up: bool) -> None:
    said = segment("More than free forehead for the two")
    spoken = replace(SPEECH, language=language, language_probability=probability)
    assert judge([said], spoken) == (([], "other_language") if made_up else ([said], None))
    assert guard.judge(Heard([said], "en", 0.6, "whisper"), spoken)[1] is None  # the model itself heard English


def test_words_are_trimmed_to_the_speech_they_share_most_with() -> None:
    spans = [(0.5, 1.0), (2.0, 3.0)]
    assert guard.trimmed(Word("so", 0.1, 0.9, 1.0), spans) == Word("so", 0.5, 0.9, 1.0)
    assert guard.trimmed(Word("late", 0.9, 2.4, 1.0), spans) == Word("late", 2.0, 2.4, 1.0)
    assert guard.trimmed(Word("apart", 1.2, 1.6, 1.0), spans) == Word("apart", 1.2, 1.6, 1.0)
    assert guard.trimmed(Word("alone", 1.2, 1.6, 1.0), []) == Word("alone", 1.2, 1.6, 1.0)
