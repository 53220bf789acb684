"""Captions that say that somebody speaks or sings, told from those that do not."""

import pytest

from captioners.compose.voice_claims import says_speech
from tests.captioners.speech_captions import HELD_OUT, TUNED


@pytest.mark.parametrize(("caption", "says"), TUNED)
def test_captions_that_the_words_were_chosen_with(caption: str, says: bool) -> None:
    assert says_speech(caption) is says


def test_three_of_four_captions_that_they_were_not_chosen_with() -> None:
    right = [caption for caption, says in HELD_OUT if says_speech(caption) is says]
    assert len(right) >= 15  # of 20, measured; the words of before found 9
