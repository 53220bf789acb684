"""Downloads from a real server that breaks off, lies, is busy, moves, and says who may have what."""

import email.utils
import itertools
import os
import threading
import time

import pytest

from manifests.errors import MachineError, MediaError
from pipeline.sources import address, find, urls
from pipeline.sources.http import retry_after
from pipeline.sources.optout import opted_out
from pipeline.sources.outcome import INELIGIBLE
from pipeline.sources.store import Store

DATA = os.urandom(300_000)


def code_of(store, url):
    with pytest.raises((MediaError, MachineError)) as caught:
        store.get(urls.row(url))
    return caught.value.code


def test_a_url_is_fetched_once_and_kept(site, make_store):
    store, row = make_store(), urls.row(site.put("/v/a%20b.mp4", DATA))
    held = store.get(row)
    assert held.path.read_bytes() == DATA and (held.size, held.version) == (len(DATA), 'etag:"v1"')
    assert (row["name"].partition("/")[2], held.path.name) == ("v/a b.mp4", "a_b.mp4")
    assert store.get(row) == held and len(site.requests("/v/a%20b.mp4")) == 1
    assert site.requests("/v/a%20b.mp4")[0]["User-Agent"].startswith("klear")


@pytest.mark.parametrize("options", [{}, {"etag": None, "modified": "Sun, 22 Nov 2026 10:00:00 GMT"}])
def test_a_broken_download_goes_on_where_it_stopped(site, make_store, options):
    url = site.put("/a.mp4", DATA, cuts=[100_000, 50_000, 1], **options)
    assert make_store(retries=1).get(urls.row(url)).path.read_bytes() == DATA
    starts = [headers.get("Range") for headers in site.requests("/a.mp4")]
    assert starts == [None, "bytes=100000-", "bytes=150000-", "bytes=150001-"]
    assert all(headers.get("If-Range") for headers in site.requests("/a.mp4")[1:])


@pytest.mark.parametrize("options", [{"etag": None}, {"etag": 'W/"v1"'}, {"ranges": False}])
def test_without_a_way_to_go_on_it_starts_anew(site, make_store, options):
    url = site.put("/a.mp4", DATA, cuts=[100_000], **options)
    assert make_store().get(urls.row(url)).path.read_bytes() == DATA


def test_a_file_that_changes_half_way_is_fetched_anew(site, make_store):
    url = site.put("/a.mp4", DATA, cuts=[100_000])
    store = make_store(retries=0)
    assert code_of(store, url) == "source:truncated"
    other = os.urandom(200_000)
    site.put("/a.mp4", other, etag='"v2"')
    assert store.get(urls.row(url)).path.read_bytes() == other
    assert site.requests("/a.mp4")[1]["If-Range"] == '"v1"'


def test_a_server_that_ignores_if_range_is_found_out(site, make_store):
    url = site.put("/a.mp4", DATA, cuts=[100_000])
    assert code_of(make_store(retries=0), url) == "source:truncated"
    other = os.urandom(200_000)
    site.put("/a.mp4", other, etag='"v2"').replace("v2", "v1")
    site.files["/a.mp4"].modified = '"v1"'  # so that it takes the old validator
    assert make_store().get(urls.row(url)).path.read_bytes() == other


def test_a_partial_download_outlives_its_process(site, make_store):
    url = site.put("/a.mp4", DATA, cuts=[200_000])
    assert code_of(make_store(retries=0), url) == "source:truncated"
    assert make_store().get(urls.row(url)).path.read_bytes() == DATA
    assert site.requests("/a.mp4")[1]["Range"] == "bytes=200000-"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "source:gone"),
        (410, "source:gone"),
        (403, "source:forbidden"),
        (451, "source:forbidden"),
        (400, "source:refused"),
    ],
)
def test_what_the_server_denies_is_told_apart_and_not_asked_again(site, make_store, status, code):
    url = site.put("/a.mp4", first=[(status, {})] * 9)
    assert code_of(make_store(), url) == code and len(site.requests("/a.mp4")) == 1


@pytest.mark.parametrize(("status", "code"), [(429, "source:busy"), (503, "source:server_error")])
def test_a_busy_server_is_asked_again_a_few_times(site, make_store, status, code):
    url = site.put("/a.mp4", DATA, first=[(status, {})] * 2)
    assert make_store().get(urls.row(url)).size == len(DATA)
    other = site.put("/b.mp4", DATA, first=[(status, {})] * 9)
    assert code_of(make_store(retries=3), other) == code and len(site.requests("/b.mp4")) == 4


def test_retry_after_is_obeyed_by_everyone(site, make_store):
    url = site.put("/a.mp4", DATA, first=[(429, {"Retry-After": "1"})])
    store = make_store(backoff_max_s=5.0)
    waits = threading.Thread(target=store.get, args=[urls.row(url)])
    waits.start()
    while not site.requests("/a.mp4"):
        time.sleep(0.01)
    time.sleep(0.2)
    store.get(urls.row(site.put("/b.mp4", DATA)))  # of the same host
    waits.join()
    times = {path: when for path, _, when, _ in site.asked}
    first = next(when for path, _, when, _ in site.asked if path == "/a.mp4")
    assert times["/b.mp4"] - first > 0.9 and times["/a.mp4"] - first > 0.9


def test_retry_after_may_be_a_date():
    assert retry_after({"Retry-After": "7"}) == 7
    assert 50 < retry_after({"Retry-After": email.utils.formatdate(time.time() + 60, usegmt=True)}) <= 61
    assert retry_after({"Retry-After": "soon"}) is None and retry_after({}) is None


@pytest.mark.parametrize(
    "value",
    ["²", "9" * 5_000, "-1", "1e9", "nan", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00",
     "Mon, 01 Jan 2030 99:99:99 GMT", "Mon, 01 Jan 2030 00:00:00 +99999999999", ",", "Mon,", "\x00"],
)  # fmt: skip
def test_retry_after_of_any_kind_is_survived(site, make_store, value):
    assert (retry_after({"Retry-After": value}) or 0.0) >= 0.0
    url = site.put("/a.mp4", DATA, first=[(429, {"Retry-After": value})] if value.isprintable() else [])
    assert make_store().get(urls.row(url)).size == len(DATA)


def test_limits_on_size_and_time(site, make_store):
    url = site.put("/a.mp4", DATA)
    assert code_of(make_store(max_gb=0.0002), url) == "source:too_big"
    site.put("/b.mp4", DATA, length=1_000)  # a length that is a lie: only what was promised is read
    assert make_store().get(urls.row(site.url + "/b.mp4")).size == 1_000
    slow = site.put("/c.mp4", DATA, pause_s=0.3)
    assert code_of(make_store(max_seconds=0.5), slow) == "source:too_slow"


def test_a_length_that_is_never_reached_is_a_truncated_source(site, make_store):
    url = site.put("/a.mp4", DATA, length=400_000, ranges=False)
    assert code_of(make_store(retries=2), url) == "source:truncated"
    assert len(site.requests("/a.mp4")) == 3  # the first brought something, the two retries nothing more


def test_silence_is_no_answer(site, serve, make_store):
    make_store().get(urls.row(serve().put("/x.mp4", b"another host answers")))
    site.put("/robots.txt", status=404)
    url = site.put("/a.mp4", DATA, pause_s=3.0)
    assert code_of(make_store(silence_s=0.3, retries=0), url) == "source:unreachable"


def test_a_dead_host_is_told_apart_from_a_dead_network(serve, make_store):
    alive, dead = serve(), "http://127.0.0.1:9/a.mp4"
    assert code_of(make_store(retries=1), dead) == "source:network"  # nobody has answered yet
    make_store().get(urls.row(alive.put("/a.mp4", DATA)))
    assert code_of(make_store(retries=1), dead) == "source:unreachable"
    gone = "http://no-such-host.invalid/a.mp4"
    assert code_of(make_store(retries=0), gone) in {"source:unreachable", "source:network"}


def test_redirects_are_followed_within_reason(site, serve, make_store):
    target = serve().put("/b.mp4", DATA)
    url = site.put("/a.mp4", first=[(302, {"Location": target})])
    assert make_store().get(urls.row(url)).path.read_bytes() == DATA
    loop = site.put("/loop", first=[(302, {"Location": "/loop"})] * 20)
    assert code_of(make_store(), loop) == "source:redirects"
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"):
        url = site.put(f"/{target[:3]}", first=[(302, {"Location": target})])
        assert code_of(make_store(), url) == "source:address"


@pytest.mark.parametrize("target", ["http://127.0.0.1:99999/", "http://[bad", "http://h:x/", "http://[::1/", "//[x]/"])
@pytest.mark.parametrize("path", ["/a.mp4", "/robots.txt"])
def test_a_redirect_to_what_is_no_url_is_quarantined(site, make_store, target, path):
    site.put(path, first=[(302, {"Location": target})] * 9)
    assert code_of(make_store(), site.url + "/a.mp4") == "source:bad_url"


@pytest.mark.parametrize("url", ["http://h:99999/x.tar", "http://[bad/x.tar", "http://[bad/x.mp4"])
def test_a_named_url_that_is_none_says_so(make_store, url):
    try:
        rows = list(find.rows([url], make_store()))
    except MediaError as error:
        assert error.code == "source:bad_url"
    else:
        assert [row["refused"] for row in rows] == [urls.BAD]


@pytest.mark.parametrize("length", ["-1", "1e9", "²", "9" * 5_000, "", "300000.0"])
def test_a_length_that_is_no_number_is_none(site, make_store, length):
    url = site.put("/a.mp4", DATA, length=length, etag='"v1"')
    assert make_store(retries=1).get(urls.row(url)).path.read_bytes() == DATA


@pytest.mark.parametrize(
    "said", ["", "bytes", "bytes ²-/", "bytes 0-99/²", "bytes */*", "bytes -1-5/3", "bytes " + "9" * 5_000 + "-/"]
)
def test_a_range_that_makes_no_sense_is_a_truncated_source(site, make_store, said):
    site.put("/robots.txt", status=404)
    url = site.put("/a.mp4", DATA, status=206, headers=[("Content-Range", said)])
    code = code_of(make_store(retries=1), url)
    assert code == "source:truncated" and len(site.requests("/a.mp4")) == 2


def test_an_answer_out_of_range_to_what_asked_for_no_range(site, make_store):
    url = site.put("/a.mp4", first=[(416, {"Content-Range": "bytes */0"})] * 9)
    assert code_of(make_store(), url) == "source:refused"


@pytest.mark.parametrize(
    "headers",
    [
        [(f"X-{n}", "x") for n in range(200)],
        [("X", "x" * 70_000)],
        [("Content-Encoding", "gzip")],
        [("Transfer-Encoding", "chunked")],
        [("Content-Length", "7")],
    ],
)
@pytest.mark.parametrize("path", ["/a.mp4", "/robots.txt"])
def test_an_answer_against_the_rules_is_the_servers_fault_not_the_networks(site, make_store, headers, path):
    """No other host ever answered: still nobody may say that this machine's network is down."""
    site.put("/a.mp4", DATA)
    site.put(path, DATA, headers=headers)
    assert code_of(make_store(retries=1), site.url + "/a.mp4") in {"source:server_error", "source:truncated"}


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x", "http://localhost/x", "http://10.1.2.3/x", "http://169.254.169.254/latest", "http://[::1]/x",
     "http://0.0.0.0/x", "http://2130706433/x", "http://[::ffff:127.0.0.1]/x", "http://100.64.0.1/x"],
)  # fmt: skip
def test_private_addresses_are_not_asked(make_store, url):
    assert code_of(make_store(private_hosts=False), url) == "source:address"


def test_a_redirect_to_a_private_address_is_not_followed(site, make_store, monkeypatch):
    """The first hop is made to look public; the second is what the server says."""
    url = site.put("/a.mp4", first=[(302, {"Location": "http://127.0.0.1:1/x"})])
    monkeypatch.setattr(address, "is_public", lambda found: not any(path == "/a.mp4" for path, *_ in site.asked))
    assert code_of(make_store(private_hosts=False, robots=False), url) == "source:address"


def test_a_name_that_resolves_differently_the_second_time_gains_nothing(site, make_store, monkeypatch):
    """DNS rebinding: the check before sees a public address, the connection goes to a private one."""
    monkeypatch.setattr(address, "check", lambda url, private: None)
    url = site.put("/a.mp4", DATA)
    assert code_of(make_store(private_hosts=False, robots=False), url) == "source:address"
    assert site.asked == []


ROBOTS = b"User-agent: *\nDisallow: /private/\nAllow: /private/open\n\nUser-agent: klear\nDisallow: /no*.mp4$\n"


def test_robots_txt_is_obeyed_and_recorded(site, make_store):
    site.put("/robots.txt", ROBOTS)
    no, yes = site.put("/not-this.mp4", DATA), site.put("/private/a.mp4", DATA)
    with pytest.raises(MediaError, match=r"User-agent: klear, Disallow: /no\*.mp4\$") as caught:
        make_store().get(urls.row(no))
    assert caught.value.code == "source:opted_out" and caught.value.code in INELIGIBLE
    assert not site.requests("/not-this.mp4")
    assert make_store().get(urls.row(yes)).size == len(DATA)  # our own group stands in place of the one for all
    assert make_store(robots_also=["GPTBot"], user_agent="klear/9 x").get(urls.row(yes)).size
    assert len(site.requests("/robots.txt")) == 1
    assert make_store(robots=False).get(urls.row(no)).size == len(DATA)


def test_robots_that_cannot_be_had(site, serve, make_store):
    site.put("/robots.txt", first=[(503, {})] * 99)
    assert code_of(make_store(), site.put("/a.mp4", DATA)) == "source:opted_out"
    assert code_of(make_store(), site.put("/b.mp4", DATA)) == "source:opted_out"
    assert not site.requests("/a.mp4")
    other = serve()
    other.put("/robots.txt", first=[(403, {})] * 9)
    assert make_store().get(urls.row(other.put("/a.mp4", DATA))).size == len(DATA)


@pytest.mark.parametrize(
    ("lines", "out"),
    [
        ([("X-Robots-Tag", "noai")], "X-Robots-Tag: noai"),
        ([("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", "NoIndex, nofollow")], "X-Robots-Tag: NoIndex, nofollow"),
        ([("X-Robots-Tag", "klear: noimageai")], "X-Robots-Tag: klear: noimageai"),
        ([("X-Robots-Tag", "otherbot: noai, noindex")], None),
        ([("X-Robots-Tag", "otherbot: noai"), ("X-Robots-Tag", "none")], None),
        ([("X-Robots-Tag", "unavailable_after: 25 Jun 2030 15:00:00 PST, noai")], "X-Robots-Tag: unavailable"),
        ([("TDM-Reservation", "1")], "TDM-Reservation: 1"),
        ([("TDM-Reservation", "0")], None),
    ],
)
def test_opt_out_headers_are_obeyed_and_recorded(site, make_store, lines, out):
    url = site.put("/a.mp4", DATA, headers=lines)
    if out is None:
        assert make_store().get(urls.row(url)).size == len(DATA)
        return
    with pytest.raises(MediaError) as caught:
        make_store().get(urls.row(url))
    assert caught.value.code == "source:opted_out" and out in caught.value.message
    assert make_store(opt_out=[]).get(urls.row(url)).size == len(DATA)


def test_opt_out_for_everyone_by_name():
    assert opted_out(["*: noai"], None, "klear", ["noai"]) == "X-Robots-Tag: *: noai"


def test_a_host_is_asked_by_few_at_a_time_and_at_distances(site, make_store):
    store = make_store(per_host=2, delay_s=0.1, robots=False)
    rows = [urls.row(site.put(f"/{n}.mp4", DATA, pause_s=0.05)) for n in range(8)]
    threads = [threading.Thread(target=Store(store.settings).get, args=[row]) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(when for _, _, when, _ in site.asked)
    assert max(busy for *_, busy in site.asked) <= 2 and len(times) == 8
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.08


def test_the_same_url_is_fetched_once_by_many(site, make_store):
    store, row = make_store(robots=False), urls.row(site.put("/a.mp4", DATA, pause_s=0.05))
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.get(row).path)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 6 and len(site.asked) == 1
