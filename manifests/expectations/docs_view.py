"""Views of Data Docs: great-expectations' own, with our frame and its blocks that need no script."""

from pathlib import Path
from typing import Any

from great_expectations.render.view import DefaultJinjaIndexPageView, DefaultJinjaPageView
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader

TEMPLATES = Path(__file__).parent / "templates"


def _ours_first(environment: Any) -> None:
    theirs: BaseLoader = environment.loader
    environment.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), theirs])


class PageView(DefaultJinjaPageView):
    """Of a suite, and of a validation result."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _ours_first(self.env)


class IndexView(DefaultJinjaIndexPageView):
    """Of the first page."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _ours_first(self.env)
