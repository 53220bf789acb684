"""robots.txt as others write it: which rule wins, and that no robots.txt takes long to be read or asked."""

import random
import re
import time

import pytest

from pipeline.sources import robots
from pipeline.sources.robots import Rule


@pytest.mark.parametrize(
    ("rule", "path", "meant"),
    [
        ("/a", "/a/b", True),
        ("/a$", "/a", True),
        ("/a$", "/a/", False),
        ("/*.mp4$", "/x.mp4/y.mp4", True),
        ("/*.mp4$", "/x.mp4?a", False),
        ("/*/b*c$", "/a/bc", True),
        ("/a*a$", "/a", False),
        ("/ab*ba$", "/aba", False),
        ("*", "/anything", True),
        ("/**/x", "/a/b/x/y", True),
        ("/a.c", "/abc", False),
    ],
)
def test_what_a_rule_means(rule, path, meant):
    assert Rule(False, rule).matches(path) is meant


def test_rules_mean_what_they_would_as_regular_expressions():
    chance = random.Random(7)
    for _ in range(20_000):
        rule = "/" + "".join(chance.choice("ab*") for _ in range(chance.randrange(6))) + chance.choice(["", "$"])
        path = "/" + "".join(chance.choice("ab") for _ in range(chance.randrange(7)))
        pattern = ".*".join(map(re.escape, rule.removesuffix("$").split("*"))) + (r"\Z" if rule[-1] == "$" else "")
        assert Rule(False, rule).matches(path) == bool(re.match(pattern, path)), (rule, path)


def test_no_rule_takes_long():
    """A regular expression of this rule would take longer than anyone lives."""
    began = time.monotonic()
    assert not Rule(False, "/" + "*a" * 200 + "$").matches("/" + "a" * 5_000 + "b")
    assert time.monotonic() - began < 1


def test_many_agents_with_many_rules_take_no_room():
    names = "".join(f"User-agent: bot{n}\n" for n in range(15_000))
    began = time.monotonic()
    found = robots.parse(names + "Crawl-delay: 2\n" * 5_000 + "Disallow: /x\n" * 10_000)
    assert found.disallows("http://h/x/y", ["Bot7"]) == "User-agent: bot7, Disallow: /x"
    assert found.delay("bot7") == 2 and found.disallows("http://h/x/y", ["klear"]) is None
    assert time.monotonic() - began < 5


def test_groups_of_one_agent_are_one():
    groups = ["klear\nDisallow: /a\n", "*\nDisallow: /\nCrawl-delay: 3\n", "KLEAR\nDisallow: /b\n"]
    found = robots.parse("".join(f"User-agent: {group}\n" for group in groups))
    assert [bool(found.disallows(f"http://h/{name}", ["klear"])) for name in "abc"] == [True, True, False]
    assert found.disallows("http://h/c", ["other"]) == "User-agent: *, Disallow: /" and found.delay("klear") == 3
