"""Transcripts and lyrics as bytes, for the model's own byte encoder."""

import torch

MAX_BYTES = 192


def speech_bytes(text: str, limit: int = MAX_BYTES) -> torch.Tensor:
    """UTF-8 bytes of `text`, uint8 (n,), cut to at most `limit` without splitting a character."""
    data = text.encode()[:limit].decode(errors="ignore").encode()
    return torch.tensor(list(data), dtype=torch.uint8)


def speech_text(data: torch.Tensor) -> str:
    """The inverse of `speech_bytes`; bytes that are not UTF-8 show as the replacement character."""
    return bytes(data.tolist()).decode(errors="replace")
