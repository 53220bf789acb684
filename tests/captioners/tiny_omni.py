"""A tiny Qwen2.5-Omni or Qwen3-Omni with random weights, in the files and under the names of the published folders."""

import json
from pathlib import Path
from typing import Any

MARKS = {
    2: {"audio": ("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"), "vision": ("<|vision_bos|>", "<|vision_eos|>")},
    3: {
        "audio": ("<|audio_start|>", "<|audio_pad|>", "<|audio_end|>"),
        "vision": ("<|vision_start|>", "<|vision_end|>"),
    },
}
PICTURES = {2: ("<|IMAGE|>", "<|VIDEO|>"), 3: ("<|image_pad|>", "<|video_pad|>")}
ENDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'audio' %}AUDIO{% elif c.type == 'video' %}VIDEO{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDE = 32


def write(folder: Path, generation: int = 2, wide: int = WIDE) -> Path:
    """Fill `folder`: processor, settings, and weights named `thinker.…`, with a talker's weight to be left alone.

    generation: 2 for Qwen2.5-Omni, 3 for Qwen3-Omni (a mixture of experts). wide: of all parts, a multiple of 32; vLLM
    wants heads of 64, which are half as wide.
    """
    import torch
    import transformers
    from safetensors.torch import load_file, save_file

    named = _processor(folder, generation)
    name = {2: "Qwen2_5Omni", 3: "Qwen3OmniMoe"}[generation]
    thinker = getattr(transformers, f"{name}ThinkerConfig")(**_widths(named, generation, wide))
    torch.manual_seed(0)
    getattr(transformers, f"{name}ThinkerForConditionalGeneration")(thinker).save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    state = {f"thinker.{key.removeprefix('thinker.')}": value for key, value in state.items()}
    state["talker.codec_head.weight"] = torch.zeros(2, 2)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    whole = {"model_type": {2: "qwen2_5_omni", 3: "qwen3_omni_moe"}[generation], "enable_audio_output": True}
    (folder / "config.json").write_text(json.dumps({**whole, "thinker_config": thinker.to_dict()}))
    (folder / "generation_config.json").unlink()
    return folder


def _processor(folder: Path, generation: int) -> dict[str, int]:
    """Save the processor; the ids of its marks by the processor's names for them."""
    import transformers
    from transformers import Qwen2Tokenizer, Qwen2VLImageProcessor, Qwen2VLVideoProcessor, WhisperFeatureExtractor
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    (begin, sound, end), (open_, close) = MARKS[generation]["audio"], MARKS[generation]["vision"]
    image, video = PICTURES[generation]
    named = {"image_token": image, "audio_token": sound, "video_token": video, "vision_bos_token": open_}
    named |= {"vision_eos_token": close, "audio_bos_token": begin, "audio_eos_token": end}
    vocabulary = {letter: number for number, letter in enumerate(bytes_to_unicode().values())}
    tokenizer = Qwen2Tokenizer(vocabulary, [], eos_token="<|im_end|>", extra_special_tokens=named)
    tokenizer.add_special_tokens({"additional_special_tokens": [*ENDS, *named.values()]})
    patch = {2: 14, 3: 16}[generation]
    pictures = {"patch_size": patch, "size": {"shortest_edge": 4 * patch**2, "longest_edge": 16 * patch**2}}
    template = TEMPLATE.replace("AUDIO", begin + sound + end).replace("VIDEO", open_ + video + close)
    getattr(transformers, {2: "Qwen2_5OmniProcessor", 3: "Qwen3OmniMoeProcessor"}[generation])(
        Qwen2VLImageProcessor(**pictures),
        Qwen2VLVideoProcessor(**pictures),
        WhisperFeatureExtractor(feature_size=16, n_samples=480_000, return_attention_mask=True),
        tokenizer,
        template,
    ).save_pretrained(folder)
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in named.items()}


def _widths(named: dict[str, int], generation: int, wide: int) -> dict[str, Any]:
    """Settings of the thinker. The two call the ids of sound and pictures `…_index` and `…_id`."""
    ids = {f"{kind}_token_{'index' if generation == 2 else 'id'}": named[f"{kind}_token"] for kind in KINDS}
    ids |= {"vision_start_token_id": named["vision_bos_token"], "vision_end_token_id": named["vision_eos_token"]}
    ids |= {"audio_start_token_id": named["audio_bos_token"], "audio_end_token_id": named["audio_eos_token"]}
    experts = {"moe_intermediate_size": 8, "num_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}
    drawn = {"initializer_range": 0.3}  # so wide that what is heard and seen shows in the answers of so few layers
    deep = {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
    return {
        **ids,
        **drawn,
        "user_token_id": ord("u"),
        "audio_config": {
            **drawn,
            "num_mel_bins": 16,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": wide,
            "d_model": wide,
            "output_dim": wide,
            **({} if generation == 2 else {"downsample_hidden_size": 8}),
        },
        "vision_config": {
            **drawn,
            "depth": 1,
            "hidden_size": wide,
            "intermediate_size": wide,
            "num_heads": 2,
            "out_hidden_size": wide,
            **({"fullatt_block_indexes": [0]} if generation == 2 else deep),
        },
        "text_config": {
            **drawn,
            "vocab_size": 300,
            "hidden_size": wide,
            "intermediate_size": wide,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [share * wide // 32 for share in (2, 3, 3)],
            },
            **({} if generation == 2 else experts),
        },
    }


KINDS = ("audio", "image", "video")
