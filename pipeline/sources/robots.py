"""robots.txt, as RFC 9309 has it: the groups of an agent, `*` and `$` in paths, the longest rule wins.

(Python's own parser takes the first rule that matches and knows no wildcards, so it allows what sites disallow.)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

MAX_BYTES = 500 * 1024
_SAFE = "/~!$&'()*+,;=:@?"


@dataclass(frozen=True)
class Rule:
    """One Allow or Disallow line, and the agent of its group."""

    agent: str
    allow: bool
    path: str

    def matches(self, path: str) -> bool:
        """Whether a normalised path with its query is meant."""
        body, end = (self.path[:-1], r"\Z") if self.path.endswith("$") else (self.path, "")
        return re.match(".*".join(map(re.escape, re.split(r"\*+", body))) + end, path, re.DOTALL) is not None

    def __str__(self) -> str:
        return f"User-agent: {self.agent}, {'Allow' if self.allow else 'Disallow'}: {self.path}"


@dataclass(frozen=True)
class Robots:
    """The rules of a site by agent, in lower case, and the seconds between requests that it asks of each."""

    rules: dict[str, list[Rule]]
    delays: dict[str, float]

    def disallows(self, url: str, agents: Iterable[str]) -> str | None:
        """The rule that keeps one of the agents (product tokens) from a url, in words; None when all may."""
        parts = urlsplit(url)
        path = _normal((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        for agent in agents:
            found = [rule for rule in self._of(agent) if rule.matches(path)]
            best = max(found, key=lambda rule: (len(rule.path), rule.allow), default=None)
            if best and not best.allow:
                return str(best)
        return None

    def delay(self, agent: str) -> float:
        """Seconds between requests that the site asks of an agent; 0 when it does not say."""
        return self.delays.get(agent.lower(), self.delays.get("*", 0.0))

    def _of(self, agent: str) -> list[Rule]:
        return self.rules.get(agent.lower(), self.rules.get("*", []))


def parse(text: str) -> Robots:
    """The rules of a robots.txt. Lines that it does not know are passed over."""
    rules: dict[str, list[Rule]] = {}
    delays: dict[str, float] = {}
    agents: list[str] = []
    open_group = False
    for line in text.lstrip("\ufeff").splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            agents = [*agents, value.lower()] if open_group else [value.lower()]
            open_group = True
            rules.setdefault(value.lower(), [])
            continue
        if key in {"allow", "disallow", "crawl-delay"}:
            open_group = False
        for agent in agents:
            if key in {"allow", "disallow"} and value:
                rules[agent].append(Rule(agent, key == "allow", _normal(value)))
            elif key == "crawl-delay" and re.fullmatch(r"\d+(\.\d+)?", value):
                delays[agent] = float(value)
    return Robots(rules, delays)


def _normal(path: str) -> str:
    """A path with the same octets encoded in the same way, whoever wrote it."""
    return quote(unquote(path, errors="surrogateescape").encode("utf-8", "surrogateescape"), safe=_SAFE)
