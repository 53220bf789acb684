"""A tiny Whisper with random weights: saved as Hugging Face does, converted to CTranslate2 as published ones are."""

from pathlib import Path

from media import packaged_whisper


def write(folder: Path, languages: tuple[str, ...] = ("en", "de", "fr")) -> Path:
    """A CTranslate2 folder below `folder`, with the packaged base model's vocabulary of 51,865 tokens."""
    import torch
    from ctranslate2.converters import TransformersConverter
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    source, made = folder / "huggingface", folder / "ctranslate2"
    source.mkdir()
    (source / "tokenizer.json").write_bytes(packaged_whisper.source("base")["files"]["tokenizer.json"])
    tokenizer = WhisperTokenizer.from_pretrained(source)
    tokenizer.save_pretrained(source)
    WhisperFeatureExtractor().save_pretrained(source)
    end, start = (tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|startoftranscript|>"))
    config = WhisperConfig(
        vocab_size=51_865,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        suppress_tokens=[],
        begin_suppress_tokens=[end],
        lang_to_id={f"<|{code}|>": tokenizer.convert_tokens_to_ids(f"<|{code}|>") for code in languages},
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
    )
    model.save_pretrained(source)
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(source), copy_files=files).convert(str(made), quantization="float32")
    return made
