"""From what was heard to the columns that every transcript has."""

import pytest

from captioners.transcribe import transcript
from captioners.transcribe.guard import Evidence, Limits
from captioners.transcribe.words import Heard, Segment


@pytest.mark.parametrize(("joint", "text"), [(" ", "你好 再见"), ("", "你好再见")])
def test_segments_are_joined_as_their_language_is_written(joint: str, text: str) -> None:
    said = [Segment(one, n, n + 1.0, -0.1, 0.0, 1.0, joint=joint) for n, one in enumerate(("你好", "再见"))]
    row = transcript.row(Heard(said, "zh", 0.9), Evidence(), Limits())
    assert (row["text"], row["heard"], row["guard"]) == (text, text, None)
