"""What all captioners that ask a model share: which prompt a clip gets, what it says, what is made of the answer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from captioners.caption import answer, known, prompt
from captioners.caption.answer import Answer, Kind
from captioners.caption.prompt import Prompt
from captioners.caption.settings import AskSettings
from manifests.ids import digest
from media.clip import Clip
from media.stage import Bounds, Facts, Given
from media.views import AUDIO_16K, VideoView, View, Views


class Asked(ABC):
    """Base of these stages. KIND: what is described."""

    NAME = ""
    KIND: Kind = "audio"
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = answer.COLUMNS
    RANGES: ClassVar[Mapping[str, Bounds]] = answer.RANGES
    VIEWS: tuple[View, ...] = ()
    INPUTS: tuple[str, ...] = ()

    def __init__(self, settings: AskSettings) -> None:
        self.prompts = prompt.chosen(self.KIND, settings.prompt, self.NAME)
        self.INPUTS = known.inputs(settings.facts, settings.transcript_from)
        self.answers: type[Answer] = answer.MODELS[self.KIND]
        self.LICENCE = settings.licence
        self._settings = settings

    def words_digest(self) -> str:
        """Hex digest of the prompts and of the shape of the answers."""
        return digest(answer.VERSION, prompt.identity(self.prompts), answer.in_words(self.answers), answer.PLAIN).hex()

    def prompt_of(self, clip: Clip) -> Prompt:
        """The prompt that this clip gets."""
        return prompt.pick(self.prompts, clip.clip_id, self._settings.seed)

    def words(self, clip: Clip, facts: Facts, shape: str | None = None) -> str:
        """All that is said to the model beside the media. shape: of the answer, by default the JSON object."""
        told = known.told(facts, self._settings.facts, self._settings.transcript_from)
        shape = shape or answer.in_words(self.answers)
        return "\n\n".join(filter(None, [self.prompt_of(clip).text.strip(), told, shape]))

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The captions of one clip."""
        found = self.many([(clip, views, facts)])[0]
        if isinstance(found, Exception):
            raise found
        return found

    @abstractmethod
    def many(self, given: Sequence[Given]) -> list[dict[str, Any] | Exception]:
        """The captions of each clip, or what went wrong with it."""


def views(kind: Kind, settings: AskSettings, fps: int | None = None, frames: int | None = None) -> tuple[View, ...]:
    """What a model of this kind is given: 16 kHz sound; so many frames, or with `fps` all of that rate."""
    name = "caption_video" if fps else "caption_frames"
    pictures = VideoView(name, fps=fps, box=settings.box, pixels="rgb24", max_frames=None if fps else frames)
    found: dict[str, tuple[View, ...]] = {"audio": (AUDIO_16K,), "video": (pictures,), "fused": (AUDIO_16K, pictures)}
    return found[kind]
