"""The texts the trainer reads, and the disagreements that they are marked with."""

from typing import Any

import pytest

from captioners.compose.texts import STAGE
from media.clip import Clip
from media.views import Views

FACTS: dict[str, dict[str, Any]] = {
    "audio.classes": {"audio_class": "speech", "speech_spans": [{"start_s": 0.0, "end_s": 3.0}], "tag_speech": 0.8},
    "audio.voices": {"speakers": 1, "turns": [{"speaker": "A", "start_s": 0.0, "end_s": 3.0}]},
    "transcribe.whisperx": {
        "text": "Good day!",
        "words": [
            {"word": "Good", "start_s": 0.0, "end_s": 0.4, "score": 0.9},
            {"word": "day!", "start_s": 1.6, "end_s": 2.0, "score": 0.9},
        ],
        "guard": None,
    },
    "caption.audio_template": {"caption": "One person speaks."},
    "caption.video_template": {"caption": "A bright scene."},
}


def compose(clip: Clip, **changes: dict[str, Any]) -> dict[str, Any]:
    facts = {name: {**row, **changes.get(name.replace(".", "_"), {})} for name, row in FACTS.items()}
    row = STAGE()(clip, Views({}), facts)
    assert set(row) == set(STAGE.COLUMNS)
    return row


def test_the_parts_make_the_dense_text(clip: Clip) -> None:
    row = compose(clip)
    assert (row["audio_text"], row["speech_text"], row["video_text"]) == (
        "One person speaks.",
        "Good day!",
        "A bright scene.",
    )
    assert row["dense_text"].startswith("A bright scene. One person speaks. ")
    assert row["dense_text"].endswith(": “Good day!”") and "sung" not in row["dense_text"]
    assert row["consistency"] == []


def test_nobody_speaks(clip: Clip) -> None:
    silent = {"text": "", "words": [], "guard": "no_speech"}
    music = {"audio_class": "music", "speech_spans": [], "tag_music": 0.9}
    plays = {"caption": "Music plays."}
    row = compose(clip, transcribe_whisperx=silent, audio_classes=music, caption_audio_template=plays)
    assert row["speech_text"] == "" and row["dense_text"] == "A bright scene. Music plays."
    assert row["consistency"] == []
    told = compose(clip, transcribe_whisperx=silent, audio_classes=music)
    assert told["consistency"] == ["speech_unheard"]


def test_a_fused_caption_is_the_dense_text(clip: Clip) -> None:
    fused = {"caption": "Somebody says hello in a bright room.", "caption_short": "A greeting."}
    row = STAGE(fused="caption.fused_endpoint")(clip, Views({}), FACTS | {"caption.fused_endpoint": fused})
    assert (
        row["dense_text"].startswith("Somebody says hello in a bright room. ")
        and "A bright scene" not in row["dense_text"]
    )
    assert row["short_text"] == "A greeting." and row["audio_text"] == "One person speaks."


def test_the_words_of_another_transcript_are_read(clip: Clip) -> None:
    facts = FACTS | {"transcribe.reconciled": {"text": "Good bye!", "words": [], "guard": None, "disputed": True}}
    row = STAGE(transcript="transcribe.reconciled")(clip, Views({}), facts)
    assert row["speech_text"] == "Good bye!" and row["consistency"] == ["disputed"]


def test_two_speakers_are_marked_and_singing_is_sung(clip: Clip) -> None:
    turns = [{"speaker": "A", "start_s": 0.0, "end_s": 1.0}, {"speaker": "B", "start_s": 1.0, "end_s": 3.0}]
    row = compose(clip, audio_voices={"speakers": 2, "turns": turns}, audio_classes={"audio_class": "singing"})
    assert row["speech_text"] == "<S1> Good <S2> day!" and "sung words" in row["dense_text"].lower()


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"audio_classes": {"speech_spans": []}}, "speech_without_vad"),
        ({"transcribe_whisperx": {"text": "", "words": [], "guard": "no_speech"}}, "class_without_words"),
        ({"audio_classes": {"tag_speech": 0.02}}, "tags_contradict"),
        ({"transcribe_whisperx": {"guard": "outside_speech"}}, "guard_dropped"),
        ({"audio_voices": {"speakers": 2}}, "unmarked_speakers"),
        ({"caption_video_template": {"caption": None}}, "caption_missing"),
        ({"caption_video_template": {"caption": "I'm sorry, I can't help with that."}}, "refusal"),
        ({"caption_audio_template": {"caption": "long " * 500}}, "too_long"),
    ],
)
def test_each_disagreement_has_a_name(clip: Clip, changes: dict[str, dict[str, Any]], flag: str) -> None:
    assert compose(clip, **changes)["consistency"] == [flag]


def test_no_facts_no_crash(clip: Clip) -> None:
    row = STAGE()(clip, Views({}), {})
    assert row["consistency"] == ["caption_missing"] and row["dense_text"] == ""


def test_words_travel_with_their_speakers_and_language(clip: Clip) -> None:
    turns = [{"speaker": "S1", "start_s": 0.0, "end_s": 1.0}, {"speaker": "S2", "start_s": 0.9, "end_s": 3.0}]
    row = compose(clip, audio_voices={"speakers": 2, "turns": turns}, transcribe_whisperx={"language": "en"})
    assert [(word["word"], word["speaker"]) for word in row["words"]] == [("Good", "S1"), ("day!", "S2")]
    assert row["language"] == "en" and row["caption_text"] == "A bright scene. One person speaks."


def test_marks_have_the_names_of_the_voices(clip: Clip) -> None:
    turns = [
        {"speaker": "S1", "start_s": 2.5, "end_s": 2.6},
        {"speaker": "S2", "start_s": 0.0, "end_s": 1.0},
        {"speaker": "S3", "start_s": 1.0, "end_s": 2.4},
    ]
    row = compose(clip, audio_voices={"speakers": 3, "turns": [{**turns[0], "start_s": 0.0, "end_s": 0.0}, *turns[1:]]})
    assert row["speech_text"] == "<S2> Good <S3> day!", "S1 says no word, and stays S1"


def test_languages_without_spaces_have_none_between_marked_words(clip: Clip) -> None:
    turns = [{"speaker": "A", "start_s": 0.0, "end_s": 1.0}, {"speaker": "B", "start_s": 1.0, "end_s": 3.0}]
    said = [
        {"word": w, "start_s": t, "end_s": t + 0.2, "score": 1.0} for w, t in (("你", 0.1), ("好", 0.4), ("吗", 2.0))
    ]
    row = compose(clip, audio_voices={"turns": turns}, transcribe_whisperx={"words": said, "language": "zh"})
    assert row["speech_text"] == "<S1> 你好 <S2> 吗"


def test_a_voice_below_the_floor_has_no_words(clip: Clip) -> None:
    stems = {"separate.stems": {"voice_db": -41.0, "empty": ["voice"]}}
    row = STAGE()(clip, Views({}), FACTS | stems)
    assert row["speech_text"] == "" and row["words"] == [] and "guard_dropped" in row["consistency"]
    never_split = {"separate.stems": {"voice_db": None, "empty": ["voice"]}}
    assert STAGE()(clip, Views({}), FACTS | never_split)["speech_text"] == "Good day!"


def test_stages_that_a_preset_names_are_needed() -> None:
    assert STAGE().REQUIRES == ()
    assert STAGE(audio="caption.audio_endpont").REQUIRES == ("caption.audio_endpont",)
