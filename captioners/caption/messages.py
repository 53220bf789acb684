"""A clip as the messages of OpenAI's chat format, which endpoints and vLLM take alike."""

from typing import Any

from captioners.caption import asked, media_parts
from captioners.caption.asked import Asked
from captioners.caption.settings import ChatSettings
from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_16K, VideoView, Views


class Chatted(Asked):
    """Base of the stages that send such messages."""

    def __init__(self, settings: ChatSettings) -> None:
        super().__init__(settings)
        self._told = settings
        fps = settings.video_fps if settings.picture == "video" else None
        self.VIEWS = asked.views(self.KIND, settings, fps, settings.frames)

    def messages(self, clip: Clip, views: Views, facts: Facts) -> list[dict[str, Any]]:
        """Who the model is to be; then the task, with what it hears and sees."""
        content = [media_parts.text(self.words(clip, facts)), *self._media(views)]
        system = {"role": "system", "content": self.prompt_of(clip).system}
        return [system, {"role": "user", "content": content}]

    def _media(self, views: Views) -> list[dict[str, Any]]:
        found = []
        for view in self.VIEWS:
            if view == AUDIO_16K:
                found.append(media_parts.sound(views[view], 16_000, self._told.sound))
            elif isinstance(view, VideoView) and view.fps:
                found.append(media_parts.video(views[view], view.fps))
            else:
                found += media_parts.frames(views[view], list(views.times[view]), self._told.jpeg_quality)
        return found
