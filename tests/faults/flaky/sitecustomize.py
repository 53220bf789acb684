"""On the path of a process: a share of all calls to the store fail, before they do anything or after they did it.

FLAKY_SHARE: of calls that fail. FLAKY_LOG: a file that grows by a byte for each.
"""

import errno
import os
import random
from pathlib import Path

from manifests import files

_SHARE, _LOG = float(os.environ["FLAKY_SHARE"]), Path(os.environ["FLAKY_LOG"])
_again = files.again


def _flaky(what):
    def call():
        draw = random.random()
        if draw < _SHARE / 2:
            _fail()
        found = what()
        if draw > 1 - _SHARE / 2:
            _fail()
        return found

    return call


def _fail():
    with _LOG.open("ab") as file:
        file.write(b".")
    raise OSError(errno.EIO, "injected")


files.again = lambda what, name: _again(_flaky(what), name)
