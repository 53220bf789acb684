"""The settings of captioners that ask a model, and what of them is part of a recipe."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from captioners.caption.known import Fact
from captioners.caption.media_parts import Sound
from manifests.settings import Settings

_URL = ("http://", "https://")


class Price(Settings):
    """What a million tokens cost, euro."""

    prompt: float = Field(default=0.0, ge=0, description="of what is read")
    completion: float = Field(default=0.0, ge=0, description="of what is written")


class AskSettings(Settings):
    """What every model is asked, wherever it runs."""

    licence: str = Field(min_length=1, description="of the model or service, e.g. Apache-2.0: cards print it")
    prompt: str | None = Field(default=None, description="name of one prompt; null: each clip gets one, by a hash")
    seed: int = Field(default=0, ge=0, description="of the choice of prompts and of the model's draws")
    max_tokens: int = Field(default=1024, gt=0, description="most tokens of an answer")
    facts: tuple[Fact, ...] = Field(default=(), description="told to the model: transcript, speakers, tags")
    transcript_from: str = Field(default="transcribe.whisperx", description="the stage whose text is the transcript")
    box: tuple[int, int] = Field(default=(512, 512), description="a picture fits inside this, pixels")


class ChatSettings(AskSettings):
    """What goes into the messages of OpenAI's chat format, and how answers are drawn."""

    frames: int = Field(default=8, gt=0, le=64, description="pictures of a clip, evenly spread")
    temperature: float = Field(default=0.2, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    sound: Sound = Field(default="wav", description="how sound is sent; Gemini and OpenAI take wav")
    picture: Literal["frames", "video"] = Field(default="frames", description="JPEG frames, or one MP4 without sound")
    jpeg_quality: int = Field(default=85, ge=1, le=95)
    video_fps: int = Field(default=2, ge=1, le=10, description="frames a second of the MP4")


class EndpointSettings(ChatSettings):
    """An endpoint that speaks the OpenAI chat API: vLLM, SGLang, Gemini's compatible one, ..."""

    url: str = Field(description="base of the API, e.g. http://127.0.0.1:8000/v1")
    model: str = Field(min_length=1, description="its name at the endpoint")
    key_env: str | None = Field(default=None, description="environment variable that holds the API key")
    form: Literal["json_schema", "json_object", "words"] = Field(
        default="json_schema", description="how the answer's shape is demanded; words: only in the prompt"
    )
    extra: dict[str, Any] = Field(default={}, description="more fields of the request's body")
    concurrency: int = Field(default=8, gt=0, le=64, description="requests of one worker under way at a time")
    requests_per_s: float | None = Field(default=None, gt=0, description="of one worker; null: no limit")
    tokens_per_minute: int | None = Field(default=None, gt=0, description="of one worker; null: no limit")
    budget_tokens: int | None = Field(
        default=None, gt=0, description="read and written by the stage in this output folder, at most; null: no limit"
    )
    price: Price = Field(default_factory=Price, description="euro a million tokens, for the job's table")
    timeout_s: float = Field(default=45.0, gt=0, description="for one request")
    patience_s: float = Field(
        default=200.0, gt=0, description="for one clip, after which nothing is asked again: below engine.clip_timeout_s"
    )
    attempts: int = Field(default=8, gt=0, le=20, description="requests for one clip, until it is given up")
    backoff_s: float = Field(default=1.0, gt=0, description="pause before the second attempt; doubles, with jitter")
    backoff_max_s: float = Field(default=60.0, gt=0, description="longest pause, and most of Retry-After obeyed")

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if not url.startswith(_URL):
            raise ValueError("give a URL that begins with http:// or https://, and ends before /chat/completions")
        return url.rstrip("/").removesuffix("/chat/completions")

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        if taken := sorted({"model", "messages", "stream", "n", "seed", "response_format"} & extra.keys()):
            raise ValueError(f"{taken} are set by other settings")
        return extra


class OmniSettings(AskSettings):
    """A Qwen-Omni model in a local folder."""

    folder: str = Field(min_length=1, description="as Qwen publishes it: config, weights, processor")
    form: Literal["json", "plain"] = Field(
        default="json", description="three captions, or only the dense one (for models that write nothing else)"
    )
    on: str = Field(default="cpu", description="torch device, e.g. cuda")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32")
    temperature: float = Field(default=0.0, ge=0, le=2)
    fps: int = Field(default=2, ge=1, le=10, description="pictures a second")
    at_once: int = Field(default=4, gt=0, description="clips that run as one batch, of those that are held together")


class VllmSettings(ChatSettings):
    """A model that vLLM runs in this process."""

    folder: str = Field(min_length=1, description="of the model: config, weights, processor")
    engine: dict[str, Any] = Field(default={}, description="arguments of vllm.LLM, e.g. {tensor_parallel_size: 2}")
    attempts: int = Field(default=2, gt=0, description="answers drawn for one clip, until it is given up")


OUTSIDE = frozenset(
    {"url", "licence", "key_env", "concurrency", "requests_per_s", "tokens_per_minute", "budget_tokens", "price"}
    | {"timeout_s", "patience_s", "attempts", "backoff_s", "backoff_max_s"}
)
"""Settings of an endpoint that change no caption: where the model is, how fast and how dearly it is asked."""
