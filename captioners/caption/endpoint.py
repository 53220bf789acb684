"""Captions by an OpenAI-compatible endpoint: requests side by side, every answer written down before it is used."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from captioners.caption import answer
from captioners.caption.chat import Chat
from captioners.caption.messages import Chatted
from captioners.caption.settings import OUTSIDE, EndpointSettings
from manifests.errors import BackendAbsent, MachineError
from manifests.ids import digest
from manifests.journal import Journal
from manifests.settings import checked
from manifests.spending import Spending
from media.clip import Clip
from media.stage import Facts, Given
from media.views import Views


class Endpoint(Chatted):
    """Base of `caption.audio_endpoint`, `caption.video_endpoint`, `caption.fused_endpoint`. params: as of
    `EndpointSettings`. Requests of one worker under way: at most `concurrency`, and the clips that it holds together
    (`engine.needs.annotate.clips_at_once`)."""

    OUTSIDE: ClassVar[frozenset[str]] = OUTSIDE
    COST = 0.0006
    """Of making requests of sound and eight frames: all that runs here. 0.009 with an MP4."""

    def __init__(self, **params: Any) -> None:
        self.settings = checked(EndpointSettings, params, self.NAME)
        super().__init__(self.settings)
        self.BACKEND = f"endpoint, {self.settings.model}"
        self.SUMMARY = answer.summary(self.settings.price.prompt, self.settings.price.completion)
        self._journal: Journal | None = None
        self._spending: Spending | None = None
        self._chat: Chat | None = None
        self._stop: MachineError | None = None

    def digest(self) -> str:
        """Of the words; the model is known by its name, a setting. Raises BackendAbsent without the API key."""
        self._headers()
        return self.words_digest()

    def remember(self, journal: Journal) -> None:
        """Where answers are kept from now on: those of the part that is about to be done."""
        self._journal = journal
        if self._spending is None or self._spending.folder != journal.folder:
            self._spending = Spending(journal.folder)

    def many(self, given: Sequence[Given]) -> list[dict[str, Any] | Exception]:
        """The captions of each clip, or what went wrong with it. Raises MachineError caption:budget when the budget is
        spent, and what the endpoint did to all; answers that came until then are written down."""
        return asyncio.run(self._many(given))

    async def _many(self, given: Sequence[Given]) -> list[dict[str, Any] | Exception]:
        self._chat = self._chat or Chat(self.settings, self._headers(), self._spend)
        self._stop = None
        if self._spending and self.settings.budget_tokens:
            self._spending.look()
        slots = asyncio.Semaphore(self.settings.concurrency)
        async with self._chat.session() as session:
            asked = (self._one(session, slots, *one) for one in given)
            found: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
        if self._stop:
            raise self._stop
        return found

    async def _one(
        self, session: Any, slots: asyncio.Semaphore, clip: Clip, views: Views, facts: Facts
    ) -> dict[str, Any]:
        async with slots:
            try:
                return self._row(clip, await self._record(session, clip, views, facts))
            except MachineError as error:
                self._stop = self._stop or error
                raise

    async def _record(self, session: Any, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The endpoint's answer, from the journal where it is there."""
        assert self._chat
        body = self.body(clip, views, facts)
        key = request_key(body)
        journal = self._journal
        if journal and (found := await asyncio.to_thread(journal.get, clip.clip_id, key)):
            return found
        record = await self._chat.ask(session, body, self._parse, self._may)
        if journal:
            await asyncio.to_thread(journal.put, clip.clip_id, key, record)
        return record

    def body(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The request: model, messages, sampling, the shape of the answer."""
        settings = self.settings
        shape = {
            "json_schema": {
                "type": "json_schema",
                "json_schema": {"name": self.KIND, "strict": True, "schema": answer.schema(self.answers)},
            },
            "json_object": {"type": "json_object"},
        }.get(settings.form)
        return {
            "model": settings.model,
            "messages": self.messages(clip, views, facts),
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "seed": settings.seed,
            **({"response_format": shape} if shape else {}),
            **settings.extra,
        }

    def _row(self, clip: Clip, record: Mapping[str, Any]) -> dict[str, Any]:
        names = ("seed", "prompt_tokens", "tokens", "seconds")
        return {
            **answer.columns(self._parse(record["text"])),
            "backend": "endpoint",
            "model": self.settings.model,
            "prompt_version": self.prompt_of(clip).label,
            **{name: record[name] for name in names},
        }

    def _parse(self, text: str) -> answer.Answer:
        return answer.parse(text, self.answers)

    def _may(self) -> None:
        """Raise MachineError when no further request may go."""
        if self._stop:
            raise self._stop
        most, spending = self.settings.budget_tokens, self._spending
        if most and spending and spending.total >= most:
            raise MachineError(
                "caption:budget",
                f"{self.NAME} has spent {spending.total:,} tokens here, of budget_tokens = {most:,}: raise it and run "
                "the same command again; answers that are there are kept",
            )

    def _spend(self, tokens: int) -> None:
        if self._spending:
            self._spending.spend(tokens)

    def _headers(self) -> dict[str, str]:
        name = self.settings.key_env
        if name is None:
            return {}
        if not (key := os.environ.get(name)):
            raise BackendAbsent(
                "backend:key", f"{self.NAME} has no API key: set the environment variable {name}, on every node"
            )
        return {"Authorization": f"Bearer {key}"}


def request_key(body: Mapping[str, Any]) -> str:
    """Hex id of a request: of all that it says, media included, and of nothing else (not of where it goes)."""
    return digest(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)).hex()
