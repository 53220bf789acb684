"""What is passed over while sources are listed, and is no error: counted as it is met, and said once, at the end."""

from dataclasses import dataclass, field

from pipeline import console

NAMELESS = "rows of sidecars that name no file of their folder"
TWICE = "files that their sidecar names twice (the last row stands)"
LINKS = "links to folders, which are not entered (to list what they lead to, give it as a source)"


@dataclass
class Remarks:
    """How many of each kind were met in a place (a sidecar, a folder), and one of them; a place met again is one."""

    _of: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)

    def add(self, kind: str, place: str, met: list[str]) -> None:
        """These were met in this place; none of them, and there is nothing to say."""
        if met:
            self._of.setdefault(kind, {})[place] = (len(met), met[0])

    def say(self) -> None:
        """Say them to people: a line a kind, with how many there are and an example."""
        for kind, places in self._of.items():
            place, (_, name) = next(iter(places.items()))
            count = sum(number for number, _ in places.values())
            console.say(f"{kind}: {count}, such as {name!r} in {place!r}", "sources", "yellow")
