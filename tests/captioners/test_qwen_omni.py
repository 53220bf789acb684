"""Transcripts by Qwen-Omni: a tiny random checkpoint through the stage, and what is made of its answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioners import omni
from captioners.omni import Answer, Prompt
from captioners.transcribe.qwen_omni import PROMPTS, STAGE, parted
from manifests.errors import BackendAbsent, ConfigError
from media.views import AUDIO_16K, Views

SOUND = 0.1 * np.random.default_rng(0).standard_normal(40_000).astype(np.float32)
CLASSES = {"audio_class": "speech", "speech_ratio": 0.8, "speech_spans": [{"start_s": 0.2, "end_s": 2.2}]}


def given(sound: np.ndarray = SOUND, **classes: Any) -> tuple[Any, Views, dict[str, Any]]:
    return None, Views({AUDIO_16K: sound}), {"audio.classes": {**CLASSES, **classes}}


def test_the_tiny_model_writes_something_and_counts_it(tiny_omni: Path) -> None:
    stage = STAGE(model=str(tiny_omni), batch=2, limits={"compression_ratio": 99.0})
    rows = stage.many([given(), given(speech_spans=[]), given(SOUND[:20_000])])
    assert rows[1] == {"text": "", "words": [], "guard": "no_speech"}
    for row in (rows[0], rows[2]):
        assert row["heard"] and 0 < row["tokens"] <= 16 + 12 * 2.4
        assert row["prompt_tokens"] > 400  # the tiny vocabulary has a token for every letter of the prompt
        assert (row["prompt"], row["avg_logprob"], row["words"]) == ("words_v1", None, [])
        assert row.keys() <= STAGE.COLUMNS.keys()
    assert rows[0] == stage(*given())


class Scripted:
    """Answers what it is told to, and keeps what it was asked: for what the stage makes of answers."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[Prompt]()

    def generate(self, prompts: Sequence[Prompt], max_new_tokens: int, seed: int) -> list[Answer]:
        self.asked += prompts
        return [Answer(self.answers.pop(0), 100, 7) for _ in prompts]


@pytest.mark.parametrize(
    ("answer", "text", "language", "guard"),
    [
        ("en\nThe old keeper,\ncounts ships.", "The old keeper, counts ships.", "en", None),
        ("The old keeper.", "The old keeper.", None, None),
        ("-", "", None, "no_speech"),
        ("en\n-", "", None, "no_speech"),
        ("en\n" + "yes " * 60, "", "en", "repetition"),
    ],
)
def test_answers_become_guarded_columns(
    monkeypatch: pytest.MonkeyPatch, answer: str, text: str, language: str | None, guard: str | None
) -> None:
    model = Scripted(answer)
    monkeypatch.setattr(omni, "load", lambda *options: model)
    row = STAGE(model="anywhere")(*given())
    assert (row["text"], row.get("language"), row["guard"], row["tokens"]) == (text, language, guard, 7)
    (prompt,) = model.asked
    assert prompt.audio is not None and len(prompt.audio) == 38_400  # the speech, and 0.2 s around it
    assert "hyphen" in prompt.text and "word for word" in prompt.system


def test_long_speech_is_asked_in_pieces_and_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omni, "load", lambda *options: Scripted("en\nlong and first", "en\nshort"))
    spans = [{"start_s": 0.0, "end_s": 25.0}, {"start_s": 40.0, "end_s": 48.0}]
    row = STAGE(model="anywhere")(*given(np.zeros(16_000 * 50, np.float32), speech_spans=spans))
    assert (row["text"], row["tokens"], row["prompt_tokens"]) == ("long and first short", 14, 200)


def test_parted() -> None:
    assert parted("de\nGuten Tag.") == ("de", "Guten Tag.")
    assert parted("so it goes") == (None, "so it goes")


def test_what_is_wrong_is_named(tmp_path: Path, tiny_omni: Path) -> None:
    with pytest.raises(BackendAbsent, match=r"transcribe\.qwen_omni: .* Qwen-Omni"):
        STAGE(model=str(tmp_path)).digest()
    with pytest.raises(ConfigError, match="words_v1"):
        STAGE(model=str(tiny_omni), prompt="v0")
    assert len(STAGE(model=str(tiny_omni)).digest()) == 64 and (PROMPTS / "words_v1.yaml").is_file()
