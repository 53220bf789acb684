"""Qwen2.5-Omni and Qwen3-Omni out of a local folder, through transformers: sound and pictures in, text out.

Only the thinker is loaded (the part that hears, sees and writes); the talker's weights in the folder are not read.
Qwen/Qwen2.5-Omni-7B, Qwen/Qwen3-Omni-30B-A3B-Instruct and -Captioner are Apache-2.0, Qwen/Qwen2.5-Omni-3B is
research only: the licence lies in the folder.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from manifests.errors import BackendAbsent, ConfigError
from media.one_thread import one_thread
from media.weights import sha256_of

RATE = 16_000


@dataclass(frozen=True)
class Prompt:
    """One request: system and user text, with what is to be heard and seen before the user's text.

    audio: float32 (n,) at 16 kHz, or None. frames: uint8 (T, H, W, 3), shown at `fps` frames a second, or None.
    """

    system: str
    text: str
    audio: np.ndarray | None = None
    frames: np.ndarray | None = None
    fps: float = 1.0


@dataclass(frozen=True)
class Answer:
    """What was written; prompt_tokens: read for it, those of sound and pictures included; tokens: written."""

    text: str
    prompt_tokens: int
    tokens: int


class Omni:
    """A thinker and its processor. Use `load`, which keeps the one that a process works with."""

    def __init__(self, folder: str, device: str = "cpu", dtype: str = "float32") -> None:
        import torch
        from transformers import AutoConfig, AutoModelForMultimodalLM, AutoProcessor

        digest(folder, "omni")
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        config = getattr(config, "thinker_config", config)
        kept: dict[str, Any] = {"config": config, "dtype": getattr(torch, dtype), "local_files_only": True}
        self.device = device
        self.model = AutoModelForMultimodalLM.from_pretrained(folder, **kept).eval().to(device)
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int, seed: int, temperature: float = 0.0
    ) -> list[Answer]:
        """An answer to each prompt, in order, of at most `max_new_tokens` tokens.

        Prompts of one frame rate run as one batch. temperature 0 takes the likeliest token, whatever the seed is.
        """
        import torch

        answers: dict[int, Answer] = {}
        for fps in dict.fromkeys(prompt.fps for prompt in prompts):
            places = [i for i, prompt in enumerate(prompts) if prompt.fps == fps]
            torch.manual_seed(seed)
            with one_thread():
                found = self._batch([prompts[i] for i in places], max_new_tokens, temperature)
            answers |= dict(zip(places, found))
        return [answers[i] for i in range(len(prompts))]

    def _batch(self, prompts: Sequence[Prompt], max_new_tokens: int, temperature: float) -> list[Answer]:
        inputs = self._inputs(prompts)
        how: dict[str, Any] = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        words = self.processor.tokenizer
        how |= {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
        found = self.model.generate(**inputs, **how, max_new_tokens=max_new_tokens, use_audio_in_video=False)
        read = inputs["attention_mask"].sum(1).tolist()
        written = found[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.batch_decode(written, skip_special_tokens=True)
        counts = [int((row != words.pad_token_id).sum()) for row in written]
        return [Answer(text.strip(), *numbers) for text, *numbers in zip(texts, read, counts)]

    def _inputs(self, prompts: Sequence[Prompt]) -> Any:
        """Token ids (N, L), padded on the left, and the features of sound and pictures, on the model's device."""
        texts = [
            self.processor.apply_chat_template(_conversation(prompt), add_generation_prompt=True, tokenize=False)
            for prompt in prompts
        ]
        sounds = [prompt.audio for prompt in prompts if prompt.audio is not None]
        films = [prompt.frames for prompt in prompts if prompt.frames is not None]
        given: dict[str, Any] = {"text": texts, "padding": True, "return_tensors": "pt"}
        if sounds:
            given |= {"audio": [np.array(sound, np.float32) for sound in sounds], "sampling_rate": RATE}
        if films:
            given |= {"videos": [np.array(film) for film in films], "do_sample_frames": False, "fps": prompts[0].fps}
        inputs = self.processor(**given).to(self.device)
        return {k: v.to(self.model.dtype) if v.is_floating_point() and v.ndim > 1 else v for k, v in inputs.items()}


def _conversation(prompt: Prompt) -> list[dict[str, Any]]:
    content: list[dict[str, str]] = []
    if prompt.audio is not None:
        content.append({"type": "audio", "audio": "given"})
    if prompt.frames is not None:
        content.append({"type": "video", "video": "given"})
    content.append({"type": "text", "text": prompt.text})
    system = {"role": "system", "content": [{"type": "text", "text": prompt.system}]}
    return [system, {"role": "user", "content": content}]


def digest(folder: str, stage: str) -> str:
    """Hex digest of the folder's weights, settings and vocabulary.

    Raises BackendAbsent backend:weights when the folder holds no model; stage: who wants it, for the message.
    """
    here = Path(folder)
    weights = sorted(here.glob("*.safetensors"))
    if not weights or not (here / "config.json").is_file():
        raise BackendAbsent(
            "backend:weights",
            f"{stage}: {folder} holds no config.json with *.safetensors: give the folder of a Qwen-Omni model, e.g. of "
            f"Qwen/Qwen2.5-Omni-7B (Apache-2.0), or remove {stage} from the preset",
        )
    files = [*weights, *sorted(here.glob("*.json")), *sorted(here.glob("*.jinja"))]
    return hashlib.sha256("\n".join(f"{f.name} {sha256_of(f)}" for f in files).encode()).hexdigest()


@lru_cache(maxsize=1)
def load(folder: str, device: str = "cpu", dtype: str = "float32") -> Omni:
    """The process's model, loaded at the first call; another folder, device or dtype replaces it.

    Raises BackendAbsent as `digest`, and ConfigError for a dtype that is not one of floating point.
    """
    if dtype not in {"float32", "bfloat16", "float16"}:
        raise ConfigError("config:dtype", f"omni: dtype = {dtype!r}; use float32, bfloat16 or float16")
    return Omni(folder, device, dtype)
