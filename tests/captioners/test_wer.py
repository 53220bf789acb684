"""Word error rate against hand-counted errors, and properties of the distance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioners.transcribe.wer import (
    character_error_rate,
    disagreement,
    edits,
    normalise,
    number_words,
    word_error_rate,
)

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)


def test_normalise_spells_numbers_and_parts_letters_from_digits() -> None:
    assert normalise("Bin blue at F2, now!") == ["bin", "blue", "at", "f", "two", "now"]
    assert " ".join(normalise("NASA's 1,204 clean-rooms")) == "nasas one thousand two hundred four clean rooms"


@pytest.mark.parametrize(
    ("number", "spelled"),
    [(0, "zero"), (13, "thirteen"), (40, "forty"), (71, "seventy one"), (900, "nine hundred"), (2026, None)],
)
def test_number_words(number: int, spelled: str | None) -> None:
    assert " ".join(number_words(number)) == (spelled or "two thousand twenty six")


def test_rate_sums_errors_before_dividing() -> None:
    # one substitution in six words, one insertion and one deletion in four
    pairs = [("lay white by s zero again", "lay wide by S0 again"), ("one two three four", "one two two three")]
    assert word_error_rate(pairs) == pytest.approx((1 + 2) / 10)


def test_rate_needs_reference_words() -> None:
    with pytest.raises(ValueError, match="reference"):
        word_error_rate([("", "thank you")])


@given(words, words, words)
def test_edits_is_a_distance(a: list[str], b: list[str], c: list[str]) -> None:
    assert edits(a, b) == edits(b, a)
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, c) <= edits(a, b) + edits(b, c)


def test_marks_stay_on_their_letters_and_widths_do_not_count() -> None:
    assert normalise("नमस्ते, दुनिया!") == ["नमस्ते", "दुनिया"]
    assert normalise("Ｋｌｅａｒ ２") == ["klear", "two"]
    assert normalise("It’s 10² o'clock") == ["its", "one", "hundred", "two", "oclock"]


def test_characters_are_counted_without_spaces() -> None:
    assert character_error_rate([("every body", "everybody")]) == 0.0
    assert character_error_rate([("lay white", "lay wide"), ("今天天气", "今天 天汽")]) == pytest.approx((2 + 1) / 12)
    with pytest.raises(ValueError, match="reference"):
        character_error_rate([("...", "a")])


def test_disagreement_is_symmetric_and_bounded() -> None:
    assert disagreement("Thank you.", "") == disagreement("", "thank you") == 1.0
    assert disagreement("", "...") == 0.0
    assert disagreement("Yes, I packed it.", "yes i packet it") == pytest.approx(1 / 12)
