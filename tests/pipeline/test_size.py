"""Pools: as many workers as fit and as pay off, with what each of them needs."""

import importlib.metadata
import os
import zipfile
from dataclasses import dataclass

import pyarrow as pa
import pytest

from manifests.errors import ConfigError
from manifests.ids import digest
from manifests.schema import STATUS
from manifests.table import Table
from pipeline.config import load
from pipeline.context import Context
from pipeline.engine import pool, session, size
from pipeline.engine.job import Job, Needs
from pipeline.engine.plan import Plan
from pipeline.engine.wanted import Listed
from pipeline.engine.worker import Planned
from pipeline.jobs import ingest

SCHEMA = pa.schema([pa.field("key", pa.binary(16), False), *STATUS, ("seen", pa.string())])


@pytest.mark.parametrize(
    ("room", "rows", "rate", "found"), [(16, 1000, None, 16), (16, 1000, 1.0, 16), (16, 10, 1.0, 2), (16, 1, 0.01, 1)]
)
def test_no_more_workers_than_there_is_work_for(room, rows, rate, found):
    assert size.workers(room, rows, rate) == found


def test_rates_are_measured(tmp_path, small_sources, small_preset, one_by_one):
    context = Context(tmp_path / "out", load(str(small_preset), []))
    assert size.seconds_a_row(context.catalog, "probe") is None
    ingest.run(context, [small_sources])
    assert 0 < size.seconds_a_row(context.catalog, "probe") < 10
    assert size.seconds_a_row(context.catalog, "annotate") is None


def test_a_gpu_is_shared_by_as_many_as_fit(monkeypatch, capsys):
    node = {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0, "memory": 64.0 * 2**30}}
    monkeypatch.setattr("ray.nodes", lambda: [node, node, {**node, "Alive": False}])
    assert session.room("measure.dear", Needs(cpus=1, gpus=0.25)) == 16
    assert session.room("measure.dear", Needs(cpus=4, gpus=0.25)) == 8
    assert session.room("measure.dear", Needs(cpus=1, memory_gib=16)) == 8
    with pytest.raises(ConfigError, match=r"measure\.dear: a worker takes 1 CPUs, 3 GPUs.* more than 16, 2, 64"):
        session.room("measure.dear", Needs(gpus=3))
    assert session.room("measure.dear", Needs(gpus=3), wait=True) == 1  # an autoscaler may bring one
    assert capsys.readouterr().err.startswith("waiting measure.dear: a worker takes 1 CPUs, 3 GPUs")


@dataclass
class Teller(Planned):
    """Says what its process sees."""

    variable: str

    def each(self, part, keys):
        for key in keys:
            yield {"t": [{"key": key, "status": "ok", "attempts": 1, "seen": os.environ.get(self.variable)}]}


def seen_by(tmp_path, worker, needs):
    """What the workers of a job with these needs say."""
    table = Table(tmp_path / "tables", "t", "r" * 32, SCHEMA)
    parts = Plan(tmp_path / "plan").extend(Listed({digest(n): 0 for n in range(3)}), 2)
    pool.run(Job("tell", (table,), worker, tmp_path / "leases", needs=needs), parts)
    return [row["seen"] for row in table.read().to_pylist()]


def test_workers_of_a_local_session_have_one_thread_each(tmp_path, ray_session):
    """By what they inherit of the session, and not of the shell: tests set no such variable."""
    assert "OPENCV_FOR_THREADS_NUM" not in os.environ
    worker = Teller(Plan(tmp_path / "plan"), "OPENCV_FOR_THREADS_NUM")
    assert seen_by(tmp_path, worker, Needs()) == ["1"] * 3


def test_a_job_has_an_environment_of_its_own(tmp_path, ray_session):
    needs = Needs(cpus=0.5, runtime_env={"env_vars": {"KLEAR_PINNED": "1.2.3"}})
    assert seen_by(tmp_path, Teller(Plan(tmp_path / "plan"), "KLEAR_PINNED"), needs) == ["1.2.3"] * 3


@dataclass
class Versions(Planned):
    """Says which version of a package its process has."""

    package: str

    def each(self, part, keys):
        for key in keys:
            yield {"t": [{"key": key, "status": "ok", "attempts": 1, "seen": importlib.metadata.version(self.package)}]}


def wheel(folder, name, version):
    """An empty package as a wheel."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}/__init__.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.slow
def test_a_backend_with_a_conflicting_pin_has_it_and_nobody_else(tmp_path, ray_session):
    ours = importlib.metadata.version("pyloudnorm")
    pip = {"packages": [str(wheel(tmp_path, "pyloudnorm", "99.0"))], "pip_install_options": ["--no-index", "--no-deps"]}
    worker = Versions(Plan(tmp_path / "plan"), "pyloudnorm")
    assert seen_by(tmp_path, worker, Needs(runtime_env={"pip": pip})) == ["99.0"] * 3 and ours != "99.0"


def test_only_stages_take_several_clips_at_once(small_preset):
    load(str(small_preset), ["engine.needs={measure.dear: {clips_at_once: 4}, annotate: {clips_at_once: 4}}"])
    with pytest.raises(ConfigError, match="clips_at_once"):
        load(str(small_preset), ["engine.needs={shard: {clips_at_once: 4}}"])


def test_needs_of_a_job_that_is_not_there_are_refused(small_preset):
    with pytest.raises(ConfigError, match="measure.cheep"):
        load(str(small_preset), ["engine.needs={measure.cheep: {gpus: 1}}"])
