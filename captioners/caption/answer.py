"""What a captioning model must answer: one JSON object with captions of three lengths, held against a schema."""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from captioners.caption.columns import COLUMNS as EVERY
from manifests.errors import KlearError
from media.stage import Bounds

Kind = Literal["audio", "video", "fused"]
COLUMNS: Mapping[str, pa.DataType] = {
    **EVERY,
    "prompt_tokens": pa.int64(),
    "tokens": pa.int64(),
    "seconds": pa.float64(),
}
"""Of every caption that a model wrote. structured: JSON text of the remaining fields of its answer. prompt_version:
`name@version`. seed: of the answer that was kept. prompt_tokens, tokens: read and written for it, answers that were of
no use included. seconds: that the kept answer took."""
RANGES: Mapping[str, Bounds] = {"prompt_tokens": (0, None), "tokens": (0, None)}
VERSION = 1
"""Of the answers: part of the digest of every stage that asks for them."""


class Answer(BaseModel):
    """Captions of three lengths; the structured one is made of all other fields, which are flat: every server's
    grammar takes such a schema."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    short: str = Field(min_length=1, max_length=600, description="one sentence of at most 20 words")
    dense: str = Field(min_length=1, max_length=6000, description="one paragraph of 60 to 150 words, all that matters")


class AudioAnswer(Answer):
    """Of the sound."""

    sounds: list[str] = Field(description="every sound with its source, in order of appearance; [] for silence")
    voices: str | None = Field(description="how many voices, how they speak or sing; null for none")
    music: str | None = Field(description="genre, instruments, tempo, mood; null for none")
    place: str | None = Field(description="the place that it sounds like; null when it does not show")


class VideoAnswer(Answer):
    """Of the picture."""

    subjects: list[str] = Field(description="who or what is seen, each with its look")
    actions: list[str] = Field(description="what happens, in order; [] when nothing does")
    place: str | None = Field(description="where it takes place; null when it does not show")
    camera: str = Field(description="framing, angle and movement")
    light: str = Field(description="light, colours, style of the picture")
    text: list[str] = Field(description="readable text, word for word; [] for none")


class FusedAnswer(Answer):
    """Of both."""

    subjects: list[str] = Field(description="who or what is seen, each with its look")
    actions: list[str] = Field(description="what happens, in order; [] when nothing does")
    sounds: list[str] = Field(description="every sound with its source, in order; [] for silence")
    off_screen: list[str] = Field(description="sounds whose source is not in the picture; [] for none")
    place: str | None = Field(description="where it takes place; null when it does not show")
    camera: str = Field(description="framing, angle, movement, light, colours")


MODELS: Mapping[Kind, type[Answer]] = {"audio": AudioAnswer, "video": VideoAnswer, "fused": FusedAnswer}
T = TypeVar("T", bound=Answer)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)


def schema(model: type[Answer]) -> dict[str, Any]:
    """The JSON schema of an answer, of the keywords that every server knows; `parse` checks the rest."""
    found, unknown = model.model_json_schema(), {"title", "minLength", "maxLength"}
    fields = {name: {k: v for k, v in told.items() if k not in unknown} for name, told in found["properties"].items()}
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def in_words(model: type[Answer]) -> str:
    """How the answer must look, for models that are held to no schema."""
    fields = [f'- "{name}": {info.description}' for name, info in model.model_fields.items()]
    return "\n".join(["Answer in English with one JSON object and nothing else. Its fields:", *fields])


PLAIN = "Answer in English with one paragraph of 60 to 150 words and nothing else."
"""For models that write no JSON: a dense caption alone."""


def parse(text: str, model: type[T]) -> T:
    """The answer in a text that may have thoughts, a fence or words around it. Raises KlearError caption:malformed."""
    text = _THOUGHTS.sub("", text)
    start, end = text.find("{"), text.rfind("}")
    try:
        found = model.model_validate(json.loads(text[start : end + 1]))
    except ValueError as error:  # pydantic's ValidationError is one, json's too
        raise KlearError("caption:malformed", f"no {model.__name__}: {_why(error)}; it begins {text[:80]!r}") from None
    return found


def _why(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def columns(answer: Answer) -> dict[str, Any]:
    """The three captions as columns."""
    rest = answer.model_dump(exclude={"short", "dense"})
    text = json.dumps(rest, ensure_ascii=False, sort_keys=True)
    return {"caption": answer.dense.strip(), "caption_short": answer.short.strip(), "structured": text}


def summary(prompt_euro: float = 0.0, euro: float = 0.0) -> dict[str, str]:
    """What a job tells of these rows at its end: name -> SQL. Prices: euro a million tokens read, and written."""
    told = {
        "prompt_tokens": "sum(prompt_tokens)",
        "tokens": "sum(tokens)",
        "tokens_per_clip": "sum(prompt_tokens + tokens) / count(tokens)",
        "tokens_per_s_of_a_request": "sum(tokens) / sum(seconds)",
    }
    if not (prompt_euro or euro):
        return told
    cost = f"(sum(prompt_tokens) * {prompt_euro / 1e6!r} + sum(tokens) * {euro / 1e6!r})"
    return {**told, "euro": cost, "euro_per_million_clips": f"{cost} / count(tokens) * 1000000"}
