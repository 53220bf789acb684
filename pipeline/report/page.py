"""Pages from templates: jinja2 with everything escaped, the style sheet inline, no address outside the folder."""

import math
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """The text of a page. Plots are SVG already; all else is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "spaced": lambda text: str(text).replace("_", " ")}
    style = (TEMPLATES / "style.css").read_text()
    return environment.get_template(template).render(style=style, **values)


def number(value: Any, digits: int = 3) -> str:
    """A number for people: three significant digits, thousands apart, a true minus; a dash for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace("-", "−")
    if abs(value) < 1e-4:
        return f"{value:.1e}".replace("-", "−")
    size = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(size, 6)}f}".replace("-", "−")
