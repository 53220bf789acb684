"""Captions by vLLM in this process: the messages, prompts, answers and columns of an endpoint, without a server.

vLLM is no dependency of klear: its pins of torch conflict with ours. A job's workers are given an environment that has
it (`engine.needs.annotate.runtime_env`, e.g. {py_executable: /opt/klear-vllm/bin/python}) where klear is installed too.
Written against vLLM 0.30. `ray.data.llm` wraps the same engine as a pool of its own, with media in its blocks; klear's
workers are that pool already, and hold the media of the clips at hand only.
"""

import importlib.util
import json
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from captioners import omni
from captioners.caption import answer
from captioners.caption.messages import Chatted
from captioners.caption.settings import VllmSettings
from manifests.errors import KlearError, MachineError
from manifests.ids import digest
from manifests.settings import checked
from media.stage import Given


class Vllm(Chatted):
    """Base of `caption.audio_vllm`, `caption.video_vllm`, `caption.fused_vllm`. params: as of `VllmSettings`.

    Answers are drawn under the grammar of the schema. seconds: a clip's share of its batch.
    """

    OUTSIDE = frozenset({"folder", "licence", "engine"})
    """The folder's content is in the digest."""
    COST = None
    """The model's, which runs on a GPU, was not measured; making the messages takes 0.0006."""

    def __init__(self, **params: Any) -> None:
        self.settings = checked(VllmSettings, params, self.NAME)
        super().__init__(self.settings)
        self.model = Path(self.settings.folder).name
        self.BACKEND = f"vLLM, {self.model}"
        self.SUMMARY = answer.summary()

    def digest(self) -> str:
        """Of the words and of the folder. Raises BackendAbsent when it holds no model."""
        return digest(self.words_digest(), omni.digest(self.settings.folder, self.NAME)).hex()

    def many(self, given: Sequence[Given]) -> list[dict[str, Any] | Exception]:
        """The captions of each clip, or caption:malformed where the answers were cut before their end."""
        rows: list[dict[str, Any] | Exception] = [KlearError("caption:malformed", "no answer")] * len(given)
        spent = [[0, 0, 0.0] for _ in given]
        talks = [self.messages(*one) for one in given]
        left = list(range(len(given)))
        for attempt in range(self.settings.attempts):
            seed, started = self.settings.seed + attempt, time.monotonic()
            found = self._draw([talks[i] for i in left], seed)
            share = (time.monotonic() - started) / max(len(left), 1)
            for i, one in zip(left, found, strict=True):
                spent[i] = [a + b for a, b in zip(spent[i], (*_usage(one), share))]
                rows[i] = self._row(given[i], one.outputs[0].text, seed, spent[i])
            left = [i for i in left if isinstance(rows[i], Exception)]
            if not left:
                break
        return rows

    def _row(self, one: Given, text: str, seed: int, spent: Sequence[float]) -> dict[str, Any] | Exception:
        try:
            captions = answer.columns(answer.parse(text, self.answers))
        except KlearError as error:
            return error
        return {
            **captions,
            "backend": "vllm",
            "model": self.model,
            "prompt_version": self.prompt_of(one[0]).label,
            "seed": seed,
            "prompt_tokens": spent[0],
            "tokens": spent[1],
            "seconds": round(spent[2], 3),
        }

    def _draw(self, talks: list[list[dict[str, Any]]], seed: int) -> list[Any]:
        """An answer to each, as vLLM gives it."""
        engine = _engine(self.settings.folder, json.dumps(self.settings.engine, sort_keys=True))
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        how = SamplingParams(
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            max_tokens=self.settings.max_tokens,
            seed=seed,
            structured_outputs=StructuredOutputsParams(json=answer.schema(self.answers)),
        )
        found: list[Any] = engine.chat(talks, how, use_tqdm=False)
        return found


def _usage(found: Any) -> tuple[int, int]:
    return len(found.prompt_token_ids), len(found.outputs[0].token_ids)


@lru_cache(maxsize=1)
def _engine(folder: str, options: str) -> Any:
    """The process's engine. options: JSON. Raises MachineError where vLLM is not installed: only a worker knows."""
    if importlib.util.find_spec("vllm") is None:
        raise MachineError(
            "backend:package",
            "captions by vLLM need a worker environment with vllm and klear: name it in engine.needs.annotate."
            "runtime_env, or serve the model (`vllm serve`) and use caption.*_endpoint",
        )
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # it dies with this process, however that ends
    import vllm

    return vllm.LLM(model=folder, **json.loads(options))
