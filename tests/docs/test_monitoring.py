"""Every metric and label that the Grafana dashboard asks for is on the metrics port of a Ray that ran a real job."""

import json
import re
import signal
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import ray
import yaml

from manifests.ids import digest
from manifests.schema import STATUS
from manifests.table import Table
from pipeline.config import load
from pipeline.context import Context
from pipeline.engine import metrics, session
from pipeline.engine.wanted import Listed
from pipeline.engine.worker import Planned
from pipeline.jobs import filter, ingest

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


def samples(text, metric):
    """(labels, value) of each sample of a metric."""
    for line in text.splitlines():
        if match := re.match(rf"{metric}{{(.*)}} (\S+)", line):
            yield dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1])), float(match[2])


@dataclass
class Fragile(Planned):
    """Its process dies of the first key whenever it meets it."""

    def each(self, part, keys):
        for key in keys:
            if key == KEYS[0]:
                signal.raise_signal(signal.SIGSEGV)
            yield {"t": [{"key": key, "status": "ok", "attempts": 1}]}

    def blame(self, part, key, error, attempts):
        bad = {"error_stage": "work", "error_code": error.code, "error_message": error.message}
        return {"t": [{"key": key, "status": "quarantined", "attempts": attempts, **bad}]}


KEYS = [digest(n) for n in range(4)]


@pytest.fixture(scope="module")
def scraped(tmp_path_factory, small_sources, small_preset):
    """What the metrics port of a session of its own says after real jobs, one of them with deaths."""
    ray.shutdown()
    session.start(cpus=2)
    (node,) = ray.nodes()
    context = Context(tmp_path_factory.mktemp("watched"), load(str(small_preset), []))
    ingest.run(context, [small_sources])
    filter.run(context)
    table = Table(context.out / "tables", "t", "r" * 32, pa.schema([pa.field("key", pa.binary(16), False), *STATUS]))
    context.work("fragile", [table], Fragile(context.plan("fragile")), Listed(dict.fromkeys(KEYS, 0)), "keys")

    def scrape():
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        return urllib.request.urlopen(url, timeout=20).read().decode()

    wanted = {metric for query in QUERIES for metric in asked(query)}
    end = time.monotonic() + 60
    with metrics.beating():  # as while a job runs
        while wanted - labels_on(scrape()).keys() and time.monotonic() < end:
            time.sleep(1)
        time.sleep(10)  # everything has been reported once more: the last counts too
        return scrape()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_metric_and_label_of_the_dashboard_is_exported(scraped):
    there = labels_on(scraped)
    for query in QUERIES:
        for metric, labels in asked(query).items():
            assert metric in there, f"{metric} of {query!r} is not exported"
            assert labels - GIVEN_BY_PROMETHEUS <= there[metric], f"{metric}: {labels - there[metric]} of {query!r}"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_numbers_are_those_of_the_jobs(scraped, small_sources):
    rows = defaultdict(float)
    for labels, value in samples(scraped, "ray_klear_rows_total"):
        rows[labels["klear_job"], labels["outcome"]] += value
    assert (rows["probe", "ok"], rows["probe", "ineligible"], rows["probe", "quarantined"]) == (6, 1, 2)
    assert (rows["cut", "ok"], rows["measure.cheap", "ok"], rows["measure.dear", "ok"]) == (5, 10, 10)
    assert (rows["fragile", "ok"], rows["fragile", "quarantined"]) == (3, 1)
    causes = {(s["klear_job"], s["code"]): n for s, n in samples(scraped, "ray_klear_quarantined_total")}
    assert causes["fragile", "crash:SIGSEGV"] == 1
    deaths = {s["ending"]: n for s, n in samples(scraped, "ray_klear_deaths_total")}
    assert deaths["crash:SIGSEGV"] == 3  # on the way through the part, and twice alone
    verdicts = {s["verdict"]: n for s, n in samples(scraped, "ray_klear_verdicts")}
    assert verdicts == {"kept": 10, "rejected": 0}
    stages = {s["stage"] for s, n in samples(scraped, "ray_klear_stage_seconds_count") if n}
    assert {"probe", "cut", "render", "audio.loudness", "video.stills", "cpu"} <= stages
    moved = defaultdict(float)  # an actor has a series of its own
    for labels, value in samples(scraped, "ray_klear_bytes_total"):
        moved[labels["klear_job"], labels["kind"]] += value
    size = sum(path.stat().st_size for path in small_sources.glob("[!he]*.mp4"))
    assert moved["probe", "read"] == size and moved["measure.cheap", "read"] > 0.5 * size
    datasets = {s["dataset"].rsplit("_", 2)[0] for s, _ in samples(scraped, "ray_data_num_tasks_finished")}
    assert {"probe", "cut", "measure.cheap"} <= datasets
