"""Every metric and label that the Grafana dashboard asks for is on the metrics port of a Ray that ran a real job."""

import json
import re
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
BOARD = json.loads((DOCS / "klear-dashboard.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]

TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<range>\[[^\]]+\])|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<op>=~|!~|!=|==|>=|<=|[-+*/(){},=<>])"""
)
FUNCTIONS = {"rate", "increase", "deriv", "histogram_quantile", "sum", "max", "min", "avg", "count"}
MODIFIERS = {"by", "without"}
RANGE = re.compile(r"\[(\$__rate_interval|\$__range|\d+[smhd])\]")
GIVEN_BY_PROMETHEUS = {"job", "instance"}


def tokens(query):
    """(kind, text) of each token. Raises ValueError at what is none."""
    place, found = 0, []
    while place < len(query):
        match = TOKEN.match(query, place)
        if not match:
            raise ValueError(f"{query!r}: {query[place : place + 10]!r} is no PromQL")
        place = match.end()
        if match.lastgroup != "space":
            found.append((match.lastgroup, match.group()))
    return found


def asked(query):
    """Metric -> the labels that the query wants of it: those it selects by, and those that are grouped by around it."""
    found = tokens(query)
    texts = [text for _, text in found]
    if any(texts.count(a) != texts.count(b) for a, b in ("()", "{}")):
        raise ValueError(f"{query!r}: brackets do not match")
    wanted, grouped, place = defaultdict(set), set(), 0
    while place < len(found):
        kind, text = found[place]
        after = texts[place + 1] if place + 1 < len(texts) else ""
        if kind == "range" and not RANGE.fullmatch(text):
            raise ValueError(f"{query!r}: {text} is no range")
        if kind != "name":
            place += 1
        elif text in MODIFIERS:
            end = texts.index(")", place)
            grouped |= {name for name in texts[place + 2 : end] if name != ","}
            place = end + 1
        elif after == "(" or after in MODIFIERS:
            if text not in FUNCTIONS:
                raise ValueError(f"{query!r}: {text} is no function that we know")
            place += 1
        else:
            end = texts.index("}", place) if after == "{" else place
            pairs = found[place + 2 : end] if after == "{" else []
            wanted[text] |= {name for kind, name in pairs if kind == "name"}
            place = end + 1
    return {metric: labels | grouped for metric, labels in wanted.items()}


def test_the_reader_of_queries():
    query = 'histogram_quantile(0.95, sum by (le, stage) (rate(ray_x_bucket{a=~"b, (c|d)"}[5m]))) / max(ray_y)'
    assert asked(query) == {"ray_x_bucket": {"a", "le", "stage"}, "ray_y": {"le", "stage"}}
    for wrong in ("sum(ray_x", "avrage(ray_x)", "rate(ray_x[5 minutes])", "ray_x ? 2"):
        with pytest.raises(ValueError, match="ray_x"):
            asked(wrong)


def test_the_dashboard_is_whole():
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in BOARD["panels"]}
    assert len(places) == len(BOARD["panels"])  # none lies over another
    for panel in PANELS:
        for target in panel["targets"]:
            labels = set().union(*asked(target["expr"]).values())
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels, panel["title"]
    used = set(re.findall(r"\$(\w+)", " ".join(QUERIES))) - {"__rate_interval", "__range"}
    assert used <= {variable["name"] for variable in BOARD["templating"]["list"]}


def test_the_scrape_configuration_is_one():
    config = yaml.safe_load((DOCS / "prometheus.yml").read_text())
    (scrape,) = config["scrape_configs"]
    assert scrape["file_sd_configs"][0]["files"] == ["/tmp/ray/prom_metrics_service_discovery.json"]


def labels_on(text):
    """Metric -> the labels that all of its samples have, of an answer in Prometheus's text format."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"([A-Za-z_:][\w:]*)(?:{(.*)})? ", line)
        if match and not line.startswith("#"):
            labels = set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', match[2] or ""))
            found[match[1]] = found.get(match[1], labels) & labels
    return found
