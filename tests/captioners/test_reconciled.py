"""Several transcripts made one: majority, preference, marks of dispute, words and speakers."""

from typing import Any

import pyarrow as pa
import pytest

from captioners.transcribe.reconciled import STAGE
from manifests.errors import ConfigError
from media.clip import Clip

STAGES = ("transcribe.whisperx", "transcribe.sensevoice", "transcribe.qwen_omni")
KEEPER = "The old lighthouse keeper counts every ship."


def said(text: str, words: bool = True, **more: Any) -> dict[str, Any]:
    times = [
        {"word": word, "start_s": 0.4 * i, "end_s": 0.4 * (i + 1), "score": 0.9} for i, word in enumerate(text.split())
    ]
    return {"text": text, "words": times if words else [], "language": "en", "guard": None, "heard": text, **more}


def reconcile(clip: Clip, *rows: dict[str, Any], turns: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    facts = dict(zip(STAGES, rows)) | ({"audio.voices": {"turns": turns}} if turns else {})
    return STAGE(stages=STAGES)(clip, None, facts)  # type: ignore[arg-type]


def test_one_alone_passes_through(clip: Clip) -> None:
    row = reconcile(clip, said(KEEPER, guard="outside_speech", language_probability=0.9, word_times="whisper"))
    assert (row["text"], row["guard"], row["language_probability"]) == (KEEPER, "outside_speech", 0.9)
    assert (row["disagreement"], row["votes"], row["disputed"], row["chosen"]) == (None, 1, False, STAGES[0])
    assert [w["word"] for w in row["words"]] == KEEPER.split()
    assert row["words"][0] == {**said(KEEPER)["words"][0], "speaker": None, "overlap": False}


def test_the_majority_is_kept_whatever_is_named_first(clip: Clip) -> None:
    row = reconcile(clip, said("Thank you."), said(KEEPER), said("the old light house keeper counts every ships"))
    assert row["text"] == KEEPER and row["chosen"] == STAGES[1]
    assert (row["votes"], row["disputed"]) == (2, False) and 0.5 < row["disagreement"] < 0.7
    nobody = said("", guard="no_speech")
    row = reconcile(clip, said("Thank you."), nobody, nobody)
    assert (row["text"], row["guard"], row["votes"], row["disputed"]) == ("", "no_speech", 2, False)


def test_of_two_the_first_is_kept_and_a_dispute_marked(clip: Clip) -> None:
    near = reconcile(clip, said(KEEPER), said("The old lighthouse keeper count every ship"))
    assert (near["text"], near["votes"], near["disputed"]) == (KEEPER, 2, False)
    assert near["disagreement"] == pytest.approx(1 / 37)
    far = reconcile(clip, said(KEEPER), said("Thank you."))
    assert (far["text"], far["votes"], far["disputed"]) == (KEEPER, 1, True) and far["disagreement"] > 0.7


def test_case_and_punctuation_are_no_disagreement(clip: Clip) -> None:
    row = reconcile(clip, said(KEEPER), said(KEEPER.lower().replace(".", "")))
    assert row["disagreement"] == 0.0 and row["text"] == KEEPER


def test_words_come_from_the_nearest_that_has_some(clip: Clip) -> None:
    row = reconcile(clip, said(KEEPER, words=False), said("Yes.", words=True), said(KEEPER))
    assert (row["chosen"], row["words_of"]) == (STAGES[0], STAGES[2]) and len(row["words"]) == 7
    row = reconcile(clip, said(KEEPER, words=False), said("Thank you."))
    assert (row["words"], row["words_of"]) == ([], STAGES[0])  # words of another text are not words of this one


def test_words_know_who_said_them(clip: Clip) -> None:
    turns = [
        {"speaker": "S1", "start_s": 0.0, "end_s": 1.5},
        {"speaker": "S2", "start_s": 1.3, "end_s": 3.0},
    ]
    words = reconcile(clip, said(KEEPER), turns=turns)["words"]
    assert [w["speaker"] for w in words] == ["S1"] * 3 + ["S2"] * 4
    assert [w["overlap"] for w in words] == [False] * 3 + [True] + [False] * 3  # "keeper" is said from 1.2 to 1.6 s
    pa.array([words], STAGE.COLUMNS["words"])


def test_wrong_stages_are_named() -> None:
    for stages in ([], ["transcribe.whisperx"] * 2, ["transcribe.reconciled"]):
        with pytest.raises(ConfigError, match="each once"):
            STAGE(stages=stages)
    stage = STAGE(stages=STAGES)
    assert ((*STAGES, "audio.voices"), STAGES[:1]) == (stage.INPUTS, stage.REQUIRES)
