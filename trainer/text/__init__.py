"""What captions and transcripts become before the model sees them."""

from typing import TYPE_CHECKING, Protocol

from manifests.errors import ConfigError

if TYPE_CHECKING:
    import torch


class TextEncoder(Protocol):
    """A frozen encoder of captions. STORED: the dtype its features are kept in."""

    NAME: str
    VERSION: int
    CHANNELS: int
    LICENCE: str
    STORED: "torch.dtype"

    def digest(self) -> str:
        """Of weights and tokenizer: part of the recipe."""
        ...

    def length(self, text: str) -> int:
        """Tokens that `encode` gives features of."""
        ...

    def encode(self, texts: list[str]) -> "list[torch.Tensor]":
        """Float32 (n, CHANNELS) for each text, its true length; (0, CHANNELS) for an empty one."""
        ...


def text_encoder(
    name: str, weights: str | None = None, precision: str = "bfloat16", device: str = "auto"
) -> TextEncoder:
    """The text encoder called `name`; weights: its folder, where it needs one.

    Raises ConfigError for an unknown name, and for a folder that is absent.
    """
    match name:
        case "minilm":
            from trainer.text.minilm import MiniLM

            return MiniLM()
        case "qwen":
            from trainer.text.hidden import HiddenStates

            return HiddenStates(weights, precision, device)
        case _:
            raise ConfigError("config:text_encoder", f"no text encoder {name!r}; there are 'minilm' and 'qwen'")
