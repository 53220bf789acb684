"""The guard: what it kills, why it says so, and that nothing outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manifests.errors import MediaError
from media import child
from media.child import Child, Limits


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_good_child_gives_its_stderr() -> None:
    assert child.run(_python("import sys; sys.stderr.write('fine')"), Limits()) == "fine"


@pytest.mark.parametrize(
    ("code", "limits", "expected"),
    [
        ("import time; time.sleep(60)", Limits(timeout_s=0.3), "media:timeout"),
        ("b = bytearray(300 << 20); import time; time.sleep(60)", Limits(max_rss=150 << 20), "media:memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", Limits(), "media:crash"),
        ("import sys; sys.exit('no such thing')", Limits(), "media:child_failed"),
    ],
)
def test_each_failure_has_its_code(code: str, limits: Limits, expected: str) -> None:
    began = time.monotonic()
    with pytest.raises(MediaError) as caught:
        child.run(_python(code), limits)
    assert caught.value.code == expected
    assert time.monotonic() - began < 10


def test_no_file_outgrows_its_limit(tmp_path: Path) -> None:
    out = tmp_path / "big"
    code = (
        f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open({str(out)!r}, 'wb').write(bytes(1 << 20))"
    )
    with pytest.raises(MediaError) as caught:
        child.run(_python(code), Limits(max_file=1000))
    assert caught.value.code == "media:too_big"
    assert out.stat().st_size <= 1000


def test_endless_stderr_is_cut() -> None:
    code = "import sys, time\nfor i in range(40): sys.stderr.write('x' * 100000); sys.stderr.flush(); time.sleep(0.01)"
    with Child(_python(code), Limits()) as running:
        assert len(running.finish()) <= 2000
        assert os.fstat(running._errors.fileno()).st_size < 2_000_000


def test_leaving_early_kills_the_child() -> None:
    with Child(_python("import time; print('on', flush=True); time.sleep(60)"), Limits(), piped=True) as running:
        assert running.stdout.readline() == b"on\n"
        pid = running._process.pid
    assert not Path(f"/proc/{pid}").exists()


def test_the_child_dies_with_its_parent() -> None:
    code = (
        "import sys; from media.child import Child, Limits\n"
        "with Child([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'],"
        " Limits(), piped=True) as c:\n"
        "    print(c.stdout.readline().decode().strip(), flush=True); c.finish()"
    )
    with subprocess.Popen(_python(code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 5
    while _alive(grandchild) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _alive(grandchild)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
