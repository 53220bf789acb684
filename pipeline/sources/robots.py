"""robots.txt, as RFC 9309 has it: the groups of an agent, `*` and `$` in paths, the longest rule wins.

(Python's own parser takes the first rule that matches and knows no wildcards, so it allows what sites disallow. Protego
0.7.0 knows them; a hostile file within the size limit, 20,000 agents over 15,000 rules, keeps it busy for minutes.)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

MAX_BYTES = 500 * 1024
_SAFE = "/~!$&'()*+,;=:@?"


@dataclass(frozen=True)
class Rule:
    """One Allow or Disallow line."""

    allow: bool
    path: str

    def matches(self, path: str) -> bool:
        """Whether a normalised path with its query is meant. Takes time in proportion to the two lengths: the pieces
        between the stars are each found at the first place there is, which leaves the most to those after it."""
        whole = self.path.endswith("$")
        first, *others = self.path.removesuffix("$").split("*")
        if not path.startswith(first):
            return False
        if not others:
            return not whole or path == first
        *middle, last = others
        at = len(first)
        for piece in [*middle, *([] if whole else [last])]:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return not whole or path.endswith(last, at)

    def __str__(self) -> str:
        return f"{'Allow' if self.allow else 'Disallow'}: {self.path}"


@dataclass
class Group:
    """What stands below one or more User-agent lines. delay: its Crawl-delay, seconds."""

    rules: list[Rule] = field(default_factory=list)
    delay: float | None = None


@dataclass(frozen=True)
class Robots:
    """The rules of a site: the groups of each agent, which is in lower case."""

    groups: dict[str, list[Group]]

    def disallows(self, url: str, agents: Iterable[str]) -> str | None:
        """The rule that keeps one of the agents (product tokens) from a url, in words; None when all may."""
        parts = urlsplit(url)
        path = _normal((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        for agent in agents:
            found = [rule for group in self._of(agent)[1] for rule in group.rules if rule.matches(path)]
            best = max(found, key=lambda rule: (len(rule.path), rule.allow), default=None)
            if best and not best.allow:
                return f"User-agent: {self._of(agent)[0]}, {best}"
        return None

    def delay(self, agent: str) -> float:
        """Seconds between requests that the site asks of an agent; 0 when it does not say."""
        for name in (agent.lower(), "*"):
            found = [group.delay for group in self.groups.get(name, []) if group.delay is not None]
            if found:
                return found[-1]
        return 0.0

    def _of(self, agent: str) -> tuple[str, list[Group]]:
        """The groups that are meant for an agent, and the name that they go by."""
        name = agent.lower() if agent.lower() in self.groups else "*"
        return name, self.groups.get(name, [])


def parse(text: str) -> Robots:
    """The rules of a robots.txt. Lines that it does not know are passed over."""
    groups: dict[str, list[Group]] = {}
    group = Group()
    is_open = False
    for line in text.lstrip("\ufeff").splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            group = group if is_open else Group()
            is_open = True
            named = groups.setdefault(value.lower(), [])
            if not named or named[-1] is not group:
                named.append(group)
            continue
        if key in {"allow", "disallow", "crawl-delay"}:
            is_open = False
        if key in {"allow", "disallow"} and value:
            group.rules.append(Rule(key == "allow", _normal(value)))
        elif key == "crawl-delay" and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            group.delay = float(value)
    return Robots(groups)


def _normal(path: str) -> str:
    """A path with the same octets encoded in the same way, whoever wrote it."""
    return quote(unquote(path, errors="surrogateescape").encode("utf-8", "surrogateescape"), safe=_SAFE)
