"""Google buckets, to the emulator that PyPI has. The service itself is not reached here."""

import importlib.util
import socket
import subprocess
import sys
import time

import fsspec
import pytest

from manifests.errors import ConfigError
from pipeline.sources import find

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("gcp_storage_emulator"), reason="no gcp-storage-emulator here"),
]


@pytest.fixture(scope="module")
def gs():
    """A bucket `raw` on an emulator of its own; the environment names it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    argv = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}"]
    emulator = subprocess.Popen([*argv, "--in-memory", "--default-bucket=raw"], stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it would ask the real service over gRPC
        patch.setenv("FSSPEC_GS_TOKEN", "anon")
        for _ in range(100):
            time.sleep(0.1)
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield fsspec.filesystem("gs", token="anon")
    emulator.kill()
    emulator.wait()


def test_a_prefix_is_listed_and_fetched(gs, make_store):
    names = ["a b.mp4", "sub/c.mp4", "é.mp4"]
    for name in names:
        gs.pipe_file(f"raw/in/{name}", name.encode())
    gs.pipe_file("raw/other.mp4", b"not below the prefix")
    store = make_store()
    rows = list(find.rows(["gs://raw/in"], store))
    assert [row["name"] for row in rows] == names
    assert {row["name"]: store.get(row).path.read_bytes().decode() for row in rows} == {name: name for name in names}
    assert all(row["version"] == store.get(row).version for row in rows)


def test_a_bucket_that_is_not_there(gs, make_store):
    with pytest.raises(ConfigError, match="nosuch"):
        list(find.rows(["gs://nosuch/in"], make_store()))
