"""Word times from a local wav2vec2 folder, and windows decoded in batches: the plumbing, on models that run here."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from captioners.transcribe.recogniser import Recogniser, Setup


@pytest.fixture
def aligner(tmp_path: Path) -> str:
    """A tiny random Wav2Vec2ForCTC with the letters of English, saved as Hugging Face saves it."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    (tmp_path / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[16] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2ForCTC(config).save_pretrained(tmp_path)
    return str(tmp_path)


def test_a_local_aligner_times_the_words(aligner: str, sound: Callable[..., np.ndarray]) -> None:
    (heard,) = Recogniser(Setup("tiny.en", align_model=aligner)).hear([(sound("grid/lwbsza.mpg"), None)])
    (segment,) = heard.segments
    assert heard.word_times == "wav2vec2" and segment.text == "Lay white by s zero again."
    assert [w.word for w in segment.words] == segment.text.split()
    starts = [w.start_s for w in segment.words]
    assert (
        starts == sorted(starts)
        and segment.start_s - 0.001 <= starts[0]
        and segment.words[-1].end_s <= segment.end_s + 0.02
    )


@pytest.mark.slow
def test_batches_pair_texts_with_their_windows(sound: Callable[..., np.ndarray]) -> None:
    speech, gap = sound("speech/jfk.flac"), np.zeros(16_000, np.float32)
    audio = np.concatenate([speech, gap] * 3)  # 36 s: two windows of at most 30 s
    (one,) = Recogniser(Setup("tiny.en")).hear([(audio, None)])
    (two,) = Recogniser(Setup("tiny.en", batch=2)).hear([(audio, None)])
    assert one.word_times == "whisper" and len(one.segments) == 2
    assert [s.text for s in one.segments] == [s.text for s in two.segments]
    for segment in [*one.segments, *two.segments]:
        assert " ".join(w.word for w in segment.words) == segment.text
        assert all(segment.start_s - 0.01 <= w.start_s <= w.end_s <= segment.end_s + 0.01 for w in segment.words)
