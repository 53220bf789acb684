"""The live view: what it says of a job, from the events of its parts alone."""

import io

import pytest
from rich.console import Console

from pipeline import console, live


def event(rows=10, **more):
    seconds = [{"stage": "render", "seconds": 5.0}, {"stage": "audio.loudness", "seconds": 0.2}]
    return {"rows": rows, "host": "a", "stages": seconds, "causes": [], "deaths": [], **more}


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    return now


def drawn(watch, width=120):
    out = Console(file=io.StringIO(), width=width, force_terminal=False)
    out.print(watch)
    return out.file.getvalue()


def test_before_the_first_part_it_promises_nothing(clock):
    watch = live.Watch("measure cheap", 100, "clips", 2)
    assert watch.rate() == 0 and watch.left_s() is None
    assert "first parts under way" in drawn(watch) and "no part done yet" in watch.line()


def test_rate_and_rest_follow_the_parts(clock):
    watch = live.Watch("measure cheap", 100, "clips", 2)
    for _ in range(2):
        clock[0] += 10
        watch.heard(event(moved=[{"kind": "written", "bytes": 30_000_000}]))
    assert watch.rate() == pytest.approx(1.0) and watch.left_s() == pytest.approx(80)
    clock[0] += 5
    assert watch.left_s() == pytest.approx(75)
    text = drawn(watch)
    for said in ("20 of 100 clips", "1.00 clips/s", "1:15 left", "2, 2 parts done in 0:25", "written 2.4 MB/s"):
        assert said in text
    assert "render 0.50 s, audio.loudness 20 ms" in text and "quarantined" not in text


def test_an_old_rate_is_forgotten(clock):
    watch = live.Watch("measure cheap", 1000, "clips", 1)
    clock[0] += 10
    watch.heard(event(rows=100))
    for _ in range(4):
        clock[0] += 200
        watch.heard(event(rows=100))
    assert watch.rate() == pytest.approx(0.5, rel=0.3)


def test_causes_and_deaths_are_counted_and_the_long_tail_is_summed(clock):
    watch = live.Watch("measure cheap", 100, "clips", 1)
    clock[0] += 1
    causes = [{"cause": f"media:{n}", "rows": n} for n in range(1, 10)]
    watch.heard(event(causes=causes, deaths=["crash:SIGSEGV", "crash:SIGSEGV"], host="b"))
    text = " ".join(drawn(watch, 200).split())
    assert "45: media:9 9" in text and "others 6" in text and "2: crash:SIGSEGV 2" in text
    assert "45 quarantined" in watch.line()


def test_causes_with_brackets_are_no_markup(clock):
    watch = live.Watch("measure [/cheap]", 100, "clips", 1)
    watch.heard(event(causes=[{"cause": "media:[/x]", "rows": 1}], deaths=["crash:[ab]"]))
    text = drawn(watch)
    assert "measure [/cheap]" in text and "media:[/x] 1" in text and "crash:[ab] 1" in text


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    out = Console(file=io.StringIO(), width=80, force_terminal=False)
    monkeypatch.setattr(console, "err", out)
    monkeypatch.setattr(console, "QUIET_S", 0.01)
    with live.watching("measure cheap", 100, "clips", 1) as watch:
        watch.heard(event())
        for _ in range(500):
            if out.file.getvalue():
                break
            live.time.sleep(0.01)
    lines = out.file.getvalue().splitlines()
    assert lines and all(line.startswith("measure cheap: 10 of 100 clips") for line in lines)
