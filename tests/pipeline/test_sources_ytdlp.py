"""yt-dlp with its generic extractor, against a page on this machine. The sites it is made for are not reached here."""

import pytest

from manifests.errors import MachineError, MediaError
from pipeline.sources import urls

pytest.importorskip("yt_dlp", reason="the extra 'ytdlp' is not installed")
pytestmark = pytest.mark.slow  # its import alone takes seconds


@pytest.fixture
def video(small_sources):
    return (small_sources / "clip0.mp4").read_bytes()


def test_a_file_and_a_page_with_a_video(site, make_store, video):
    url = site.put("/v/clip.mp4", video, headers=[("Content-Type", "video/mp4")])
    page = f'<html><title>t</title><body><video src="{url}"></video></body></html>'.encode()
    site.put("/page.html", page, headers=[("Content-Type", "text/html")])
    for address in (url, f"{site.url}/page.html"):
        held = make_store().get(urls.row(f"ytdlp:{address}"))
        assert held.path.read_bytes() == video and held.version.startswith(("ytdlp:generic:", "ytdlp:html5:"))
    assert site.requests("/page.html")[0]["User-Agent"].startswith("klear")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"first": [(404, {})] * 9}, "source:gone"),
        ({"first": [(403, {})] * 9}, "source:forbidden"),
        ({"data": b"<html>nothing here</html>", "headers": [("Content-Type", "text/html")]}, "source:ytdlp"),
        ({"first": [(503, {})] * 99}, "source:server_error"),
    ],
)
def test_what_it_cannot_bring_is_told_apart(site, make_store, options, code):
    url = site.put("/page", **options)
    with pytest.raises(MediaError) as caught:
        make_store(retries=1).get(urls.row(f"ytdlp:{url}"))
    assert caught.value.code == code


def test_robots_txt_is_obeyed_for_pages_too(site, make_store):
    site.put("/robots.txt", b"User-agent: *\nDisallow: /\n")
    with pytest.raises(MediaError) as caught:
        make_store().get(urls.row(f"ytdlp:{site.put('/page')}"))
    assert caught.value.code == "source:opted_out" and not site.requests("/page")


def test_a_dead_network_stops_the_part(make_store):
    with pytest.raises(MachineError):
        make_store(retries=1, robots=False).get(urls.row("ytdlp:http://127.0.0.1:9/page"))
