"""The lock of what changes files in place: held by one, and by nobody after its holder was killed."""

import subprocess
import sys

import pytest

from manifests.errors import ConfigError
from manifests.exclusive import exclusive

HOLD = """
import sys, time
from pathlib import Path
from manifests.exclusive import exclusive
with exclusive(Path(sys.argv[1]), "takedown"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_at_a_time_and_nobody_after_a_death(tmp_path):
    path = tmp_path / "out" / ".lock"
    argv = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        said = pytest.raises(ConfigError, match=f'another takedown is running here .*"pid": {other.pid}')
        with said as caught, exclusive(path, "takedown"):
            raise AssertionError("held by two")
        assert caught.value.code == "busy:takedown"
        other.kill()
    with exclusive(path, "takedown"):
        pass
    with exclusive(path, "takedown"):
        pass
