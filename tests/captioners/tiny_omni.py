"""A tiny Qwen2.5-Omni with random weights, in the files and under the names that the published folders have."""

import json
from pathlib import Path
from typing import Any

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|IMAGE|>")
SPECIAL += ("<|VIDEO|>", "<|vision_bos|>", "<|vision_eos|>")
NAMED = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% elif c.type == 'image' %}<|vision_bos|><|IMAGE|><|vision_eos|>"
    "{% elif c.type == 'video' %}<|vision_bos|><|VIDEO|><|vision_eos|>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write(folder: Path, wide: int = 32) -> Path:
    """Fill `folder`: processor, settings, and weights named `thinker.…`, with a talker's weight to be left alone.

    wide: of all parts, a multiple of 32; vLLM wants heads of 64, which are half as wide."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration

    ids = _processor(folder)
    thinker = Qwen2_5OmniThinkerConfig(**_widths(ids, wide))
    torch.manual_seed(0)
    model = Qwen2_5OmniThinkerForConditionalGeneration(thinker)
    state = {published(name): value.contiguous() for name, value in model.state_dict().items()}
    state["talker.codec_head.weight"] = torch.zeros(2, 2)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    whole = {"model_type": "qwen2_5_omni", "architectures": ["Qwen2_5OmniModel"], "enable_audio_output": True}
    (folder / "config.json").write_text(json.dumps({**whole, "thinker_config": thinker.to_dict()}))
    return folder


def published(name: str) -> str:
    """The name of a weight in Qwen's own files, from transformers' own name for it."""
    name = name.replace("model.language_model.", "model.")
    return "thinker." + name.replace("model.audio_tower.", "audio_tower.").replace("model.visual.", "visual.")


def _processor(folder: Path) -> dict[str, int]:
    from transformers import (
        Qwen2_5OmniProcessor,
        Qwen2Tokenizer,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        WhisperFeatureExtractor,
    )
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    vocabulary = {letter: number for number, letter in enumerate(bytes_to_unicode().values())}
    tokenizer = Qwen2Tokenizer(vocabulary, [], eos_token="<|im_end|>", extra_special_tokens=NAMED)
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(size=size),
        Qwen2VLVideoProcessor(size=size),
        WhisperFeatureExtractor(feature_size=16, n_samples=480_000, return_attention_mask=True),
        tokenizer,
        TEMPLATE,
    ).save_pretrained(folder)
    return dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(list(SPECIAL))))


def _widths(ids: dict[str, int], wide: int) -> dict[str, Any]:
    sections = [share * wide // 32 for share in (2, 3, 3)]
    return {
        "audio_token_index": ids["<|AUDIO|>"],
        "image_token_index": ids["<|IMAGE|>"],
        "video_token_index": ids["<|VIDEO|>"],
        "audio_start_token_id": ids["<|audio_bos|>"],
        "audio_end_token_id": ids["<|audio_eos|>"],
        "vision_start_token_id": ids["<|vision_bos|>"],
        "vision_end_token_id": ids["<|vision_eos|>"],
        "user_token_id": ord("u"),
        "audio_config": {
            "num_mel_bins": 16,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": wide,
            "d_model": wide,
            "output_dim": wide,
        },
        "vision_config": {
            "depth": 1,
            "hidden_size": wide,
            "intermediate_size": wide,
            "num_heads": 2,
            "out_hidden_size": wide,
            "fullatt_block_indexes": [0],
        },
        "text_config": {
            "vocab_size": 300,
            "max_position_embeddings": 8192,
            "hidden_size": wide,
            "intermediate_size": wide,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections},
        },
    }
