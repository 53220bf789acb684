"""What captions claim, and how it fits what was measured."""

from typing import Any

import pytest

from captioners.compose import claims
from captioners.compose.consistency import STAGE
from media.clip import Clip
from media.views import Views


@pytest.mark.parametrize(
    ("caption", "refuses"),
    [
        ("I'm sorry, but I can't assist with that.", True),
        ("I’m sorry, but I can’t assist with that.", True),
        ("\"I'm sorry, but I can't assist with that.\"", True),
        ("I cannot view the video.", True),
        ("I cannot watch the video.", True),
        ("I cannot fulfil this request.", True),
        ("I cannot fulfill this request.", True),
        ("I apologize, but the request is beyond me.", True),
        ("Please provide the audio file.", True),
        ("No audio was provided.", True),
        ("It seems there is no video attached.", True),
        ("The audio file was not provided.", True),
        ("As an AI language model, I have no ears.", True),
        ("I am unable to process this audio.", True),
        ("Unable to process this audio.", True),
        ("A man says he is sorry and cannot come.", False),
        ("He cannot open the door.", False),
        ("An AI robot walks.", False),
        ("A man says: “I’m sorry, I cannot help you with that.” Then a door shuts.", False),
        ('A woman says "I\'m sorry, I cannot help you with that."', False),
        ("A woman says I'm sorry, I cannot help you.", False),
        ("A man who is unable to see walks with a cane.", False),
        ("No audio equipment is visible, and no video plays on the screen.", False),
    ],
)
def test_captions_that_are_excuses(caption: str, refuses: bool) -> None:
    assert claims.refuses(caption) is refuses


def test_sounds_are_whole_names_that_are_not_denied() -> None:
    assert claims.sounds("A dog barks while a police car (siren) passes, and an ambulance follows.") == [
        "ambulance", "bark", "dog", "police car", "siren",
    ]  # fmt: skip
    assert claims.sounds("No dog is heard; a hotdog stand.") == [] == claims.sounds("It rings loud, a car by a river.")
    assert claims.aliases("Vehicle horn, car horn, honking") == ["vehicle horn", "car horn", "honking"]
    assert claims.aliases("Keyboard (musical)") == ["keyboard"]


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("He laughs and someone claps.", ["clapping", "laughter"]),
        ("Dogs bark.", ["bark", "dog"]),
        ("A cat meowed, wolves howled, bells of a doorbell; a man sneezes.", "cat doorbell howl meow sneeze wolves"),
        ("A child giggling, people crying.", ["crying", "giggle"]),
        ("Keys jangling, then a church bell and sirens.", ["church bell", "keys jangling", "siren"]),
        ("A man waves, his hand on a blue glass, walking a bit along water; it is crowded and filled.", []),
        ("She wore pants and saw sand and woods; a bicycle on a ship; a sign reads “dogs bark”.", []),
        ("No dogs bark while a helicopter hovers.", ["helicopter"]),
    ],
)
def test_sounds_are_found_by_their_stems(caption: str, names: list[str] | str) -> None:
    assert claims.sounds(caption) == (names.split() if isinstance(names, str) else names)


CLASSES: dict[str, Any] = {
    "speech_spans": [],
    "audio_class": "sound",
    "tags": [{"label": "Dog", "score": 0.6}, {"label": "Bark", "score": 0.5}],
    "events": [{"label": "Police car (siren)", "peak": 0.4, "spans": []}],
}


def texts(audio: str = "A dog barks.", video: str = "A park.", fused: str | None = None, **more: Any) -> dict[str, Any]:
    """As `compose.texts` puts them together."""
    captions = fused or f"{video} {audio}"
    held = {"audio_text": audio, "speech_text": "", "video_text": video, "dense_text": "A park. A dog."}
    return {**held, "caption_text": captions, "sound_text": fused or audio, **more}


TEXTS = texts()


def check(clip: Clip, audio: str = "A dog barks.", **more: Any) -> dict[str, Any]:
    facts = {
        "audio.classes": CLASSES,
        **more,
        "compose.texts": texts(audio, consistency=["a", "b"]),
    }
    row = STAGE()(clip, Views({}), facts)
    assert set(row) == set(STAGE.COLUMNS)
    return row


def test_sounds_that_nobody_heard_are_named(clip: Clip) -> None:
    assert check(clip)["unheard"] == [] and check(clip, "A police car passes.")["sounds_unheard"] == 0
    row = check(clip, "A dog barks at a helicopter and a chainsaw.")
    assert row["unheard"] == ["chainsaw", "helicopter"] and row["sounds_unheard"] == 2
    assert STAGE()(clip, Views({}), {"compose.texts": TEXTS})["sounds_unheard"] is None


def test_a_fused_caption_is_read_and_spoken_words_are_not(clip: Clip) -> None:
    words = "The spoken words are: “I'm sorry, I can't help with that, said the dog to the helicopter.”"
    fused = {"audio.classes": CLASSES, "compose.texts": {**TEXTS, "dense_text": f"A park. {words}"}}
    plain = STAGE()(clip, Views({}), fused)
    assert (plain["speech_unheard"], plain["unheard"], plain["refusal"]) == (False, [], False)
    fused["compose.texts"] = texts(fused="A man explains a chainsaw. Please provide the video.")
    told = STAGE()(clip, Views({}), fused)
    assert (told["speech_unheard"], told["unheard"], told["refusal"]) == (True, ["chainsaw"], True)
    pictured = {"audio.classes": CLASSES, "compose.texts": texts(video="A man talks. A chainsaw lies there.")}
    seen = STAGE()(clip, Views({}), pictured)
    assert seen["speech_unheard"] is True and seen["unheard"] == [], "what is only seen claims no sound"


def test_speech_that_nobody_heard(clip: Clip) -> None:
    assert check(clip, "Somebody speaks.")["speech_unheard"] is True and check(clip)["speech_unheard"] is False
    heard = {**CLASSES, "speech_spans": [{"start_s": 0.0, "end_s": 1.0}]}
    facts = {"audio.classes": heard, "compose.texts": texts("Somebody speaks.")}
    assert STAGE()(clip, Views({}), facts)["speech_unheard"] is False
    assert STAGE()(clip, Views({}), {"compose.texts": TEXTS})["speech_unheard"] is None


@pytest.mark.parametrize(
    ("written", "heard", "probability", "mismatch"),
    [
        ("en", "de", 0.9, True),
        ("en", "en", 0.9, False),
        ("en", "de", 0.4, None),
        ("en", None, 0.9, None),
        (None, "de", 1.0, None),
    ],
)
def test_languages_are_compared_where_both_are_known(
    clip: Clip, written: str | None, heard: str | None, probability: float, mismatch: bool | None
) -> None:
    said = {"transcribe.whisperx": {"text": "Hm.", "language": written}}
    row = check(clip, **said, **{"audio.language": {"language": heard, "probability": probability}})
    assert row["language_mismatch"] is mismatch


def test_loops_compress_and_the_rest_is_counted(clip: Clip) -> None:
    loop = check(clip, "and again " * 30)
    plain = check(
        clip, "A small dog barks twice at a passing bicycle while leaves rustle, then a door falls shut nearby."
    )
    assert loop["repetition"] > 2.4 > plain["repetition"] and check(clip)["repetition"] is None
    assert (plain["dense_words"], plain["flags"], plain["refusal"]) == (4, 2, False)
