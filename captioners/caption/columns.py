"""The columns of every caption, whoever wrote it."""

from collections.abc import Mapping

import pyarrow as pa

COLUMNS: Mapping[str, pa.DataType] = {
    "caption": pa.string(),
    "caption_short": pa.string(),
    "structured": pa.string(),
    "backend": pa.string(),
    "model": pa.string(),
    "prompt_version": pa.string(),
    "seed": pa.int64(),
}
"""caption: the dense one. structured: a JSON text. model, seed: NULL where no model wrote it."""
