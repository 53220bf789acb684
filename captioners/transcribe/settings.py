"""Settings of transcription that are checked when a stage is made, before any clip would suffer from them."""

from typing import Literal

from pydantic import Field, field_validator

from manifests.settings import Settings


class Pieces(Settings):
    """How pieces of speech are sent to a recogniser."""

    batch: int = Field(gt=0, description="pieces at once")


class Whisper(Pieces):
    """Where, in which numbers and in which language CTranslate2 runs a Whisper."""

    device: Literal["cpu", "cuda"]
    compute_type: Literal[
        "default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16",
        "float32",
    ]  # fmt: skip
    language: str | None = Field(description="Whisper's code; null: identified in each clip")

    @field_validator("language")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        from whisperx.utils import LANGUAGES

        if code not in {None, *LANGUAGES}:
            raise ValueError(f"Whisper knows {sorted(LANGUAGES)}, and null to identify it in each clip")
        return code


class Agreement(Settings):
    """When two transcripts agree."""

    limit: float = Field(ge=0, le=1, description="distance up to which they do")
