"""`qwen`: caption features of a language or embedding model by its folder (Qwen2.5, say): frozen, offline."""

from functools import cached_property
from typing import Any

import torch

from manifests.errors import ConfigError
from media.cpu_torch import install
from media.device import device_of, dtype_of
from trainer.codecs.folders import config_of, digest_of


class HiddenStates:
    """The `qwen` text encoder: the last hidden state, after the final norm, of every token of a text.

    folder: as transformers leaves it, of a causal model or its base, with its tokenizer. The weights load at the first
    text. Raises ConfigError `config:weights` when the folder is absent.
    """

    NAME = "qwen"
    VERSION = 1
    MAX_TOKENS = 256
    STORED = torch.bfloat16  # outlier channels of language models pass the range of float16
    LICENCE = "of the weights given (Qwen2.5-7B: Apache-2.0); transformers: Apache-2.0"

    def __init__(self, folder: str | None, precision: str = "bfloat16", device: str = "auto") -> None:
        config = config_of("encode.text_weights", folder)
        if "hidden_size" not in config:
            raise ConfigError("config:weights", f"encode.text_weights = {folder!r}: its config.json has no hidden_size")
        self.folder, self.precision, self.device = str(folder), precision, device
        self.CHANNELS = int(config["hidden_size"])

    def digest(self) -> str:
        """Of the weights and the tokenizer."""
        return digest_of(self.folder)

    def length(self, text: str) -> int:
        """Tokens that `encode` gives features of."""
        return len(self._tokens(text)["input_ids"]) if text.strip() else 0

    @torch.inference_mode()
    def encode(self, texts: list[str]) -> list[torch.Tensor]:
        """Float32 (n, CHANNELS) for each text, n <= 256 tokens, no padding; (0, CHANNELS) for an empty one.

        Each text runs alone, so its features do not depend on its neighbours.
        """
        return [self._encode_one(text) for text in texts]

    def _encode_one(self, text: str) -> torch.Tensor:
        if not text.strip():
            return torch.zeros(0, self.CHANNELS)
        ids = torch.tensor(self._tokens(text)["input_ids"])[None].to(self._model.device)
        return self._model(input_ids=ids, use_cache=False).last_hidden_state[0].float().cpu().clone()

    def _tokens(self, text: str) -> Any:
        return self._tokenizer(text, truncation=True, max_length=self.MAX_TOKENS)

    @cached_property
    def _tokenizer(self) -> Any:
        install()
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True)

    @cached_property
    def _model(self) -> Any:
        install()
        from transformers import AutoModel

        model = AutoModel.from_pretrained(self.folder, local_files_only=True, dtype=dtype_of(self.precision))
        return model.eval().requires_grad_(False).to(device_of(self.device))
