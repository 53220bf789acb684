"""Orders for the saboteur (`saboteur/sitecustomize.py`), and the processes of a run, found by the folder of orders."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 900


@dataclass
class Orders:
    """A folder of orders; every process of a run that is given KLEAR_ORDERS sees it."""

    folder: Path

    def give(self, name, target, when, do="wait", role="any"):
        """One order; see the saboteur."""
        text = json.dumps({"target": target, "when": when, "do": do, "role": role})
        draft = self.folder / f"{name}.draft"
        draft.write_text(text)
        draft.rename(self.folder / f"{name}.order")

    def taken(self, name, run):
        """Wait until a process carries the order out; its id. The run must not end before."""
        note = self.folder / f"{name}.taken"
        wait_for(lambda: note.exists() or run.poll() is not None, f"nobody came to carry out {name}")
        assert note.exists(), f"the run ended with {run.returncode} and nobody had carried out {name}"
        return int(note.read_text())

    def let_go(self, name):
        """Whoever waits goes on."""
        (self.folder / f"{name}.go").touch()

    def processes(self, program=""):
        """All processes of the run whose command line holds `program`."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                ours = f"KLEAR_ORDERS={self.folder}".encode() in (process / "environ").read_bytes().split(b"\0")
                if ours and program.encode() in (process / "cmdline").read_bytes().replace(b"\0", b" "):
                    found.append(int(process.name))
        return found

    def end_all(self):
        """Kill what is left of the run."""
        wait_for(lambda: not [kill(pid) for pid in self.processes()], "processes that cannot be killed")


def kill(pid):
    """SIGKILL; no error when it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def parent_of(pid):
    """The id of its parent process, 0 when it is gone."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def wait_for(condition, otherwise):
    """Look until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def start(argv, env, log):
    """Start a run in a session of its own; what it says goes to the file `log`."""
    with log.open("ab") as said:
        return subprocess.Popen(
            list(map(str, argv)), env=env, stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True
        )
