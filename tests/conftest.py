"""Shared fixtures. Tests that need the real media or the golden files skip, saying so, when they are not given."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "false")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
if not Path("/dev/nvidiactl").exists():
    # Read when Triton is first imported; without a GPU nothing else runs its kernels.
    os.environ.setdefault("TRITON_INTERPRET", "1")
os.environ.setdefault("RAY_worker_niceness", "0")  # 15 else: on a busy machine a test would wait for minutes


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """With several processes (pytest-xdist), a file is the work of one, and all that share the Ray session are.

    Not by `--dist loadgroup`: pytest 9.2 does not see the names that pytest-xdist 3.8 gives the tests of a group.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "ray" if "ray_session" in (config.rootpath / file).read_text() else file

    return ByFile(config, log)


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: it names the folder of real media or golden files this test reads")
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"{variable}={value!r} is not a folder")
    return path


@pytest.fixture
def media_dir() -> Path:
    """The folder of real clips with transcripts (`MEDIA.tsv`)."""
    return _folder("KLEAR_MEDIA")


@pytest.fixture
def golden_dir() -> Path:
    """The folder of outputs of reference implementations."""
    return _folder("KLEAR_GOLDEN")


@pytest.fixture(scope="session")
def ray_session() -> None:
    """One local Ray session for all tests that need one."""
    from pipeline.engine import session

    session.start(cpus=2)


@pytest.fixture(scope="session")
def small_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny sources: five good clips, a copy of one, a text, an empty file and half of a clip."""
    import numpy as np

    from media.writer import write_mp4

    folder = tmp_path_factory.mktemp("sources")
    for number in range(5):
        rng = np.random.default_rng(number)
        x = np.arange(160)[None, None, :, None] + np.arange(50)[:, None, None, None] * (number + 2)
        frames = np.broadcast_to((127 + 100 * np.sin(x / (9 + number))), (50, 120, 160, 3)).astype(np.uint8)
        time_s = np.arange(2 * 44_100) / 44_100
        tone = 0.2 * np.sin(2 * np.pi * (220 + 110 * number) * time_s) + 0.01 * rng.standard_normal(len(time_s))
        write_mp4(folder / f"clip{number}.mp4", frames, 25, np.stack([tone, tone], 1).astype(np.float32), 44_100)
    data = (folder / "clip0.mp4").read_bytes()
    (folder / "copy.mp4").write_bytes(data)
    (folder / "half.mp4").write_bytes(data[: len(data) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "note.txt").write_text("not a video")
    return folder


@pytest.fixture(scope="session")
def small_preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset of fast stages: formulas and templates, no models."""
    path = tmp_path_factory.mktemp("preset") / "small.yaml"
    path.write_text(
        """
cut: {min_s: 1.0, max_s: 1.0}
tiers:
  - {name: cheap, stages: [{name: audio.loudness}, {name: audio.fidelity}, {name: video.technical}]}
  - {name: dear, stages: [{name: video.stills}]}
policy: POLICY
annotate: [{name: caption.audio_template}, {name: caption.video_template}, {name: compose.texts}]
shard: {shards: 2, val: 0.3, x264_preset: ultrafast}
engine: {part_clips: 2, bucket_bits: 1}
""".replace("POLICY", str(path.with_name("policy.yaml")))
    )
    path.with_name("policy.yaml").write_text(
        "name: small\ngates:\n  - {name: quiet, measure: audio.loudness.rms_db, min: -60, source: ours}\n"
    )
    return path


class Here:
    """A hand that does the keys in this process."""

    def __init__(self, worker):
        self._worker = worker

    def each(self, part, keys):
        return self._worker.each(part, keys)


@contextlib.contextmanager
def without_ray():
    """Jobs are worked off in this process, part by part: for tests of what they write, not of how they are run.

    The list given holds (job, part, rows done) of everything that was worked on.
    """
    from pipeline.engine import pool, session
    from pipeline.engine.event import Clock
    from pipeline.jobs import shard_work

    done = []

    def run(job, parts, on_event=lambda event: None):
        for part in job.pending(parts):
            event = pool.do_part(job, part, Here(job.worker), Clock())
            done.append((job.name, part.name, event["rows"]))
            on_event(event)

    scratch = shard_work._scratch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_work, "_scratch", lambda actor: scratch(os.getpid()))  # hand and actor are one here
        patch.setattr(pool, "run", run)
        patch.setattr(session, "start", lambda *arguments, **options: None)
        patch.setattr(session, "room", lambda job, needs, wait: 1)
        yield done


@pytest.fixture(scope="session")
def released(tmp_path_factory, small_sources, small_preset):
    """A whole run to shards, for tests to copy: its context, and the outcome of `shard`."""
    from pipeline.config import load
    from pipeline.context import Context
    from pipeline.jobs import annotate, decide, filter, ingest, shard

    context = Context(tmp_path_factory.mktemp("released") / "out", load(str(small_preset), []))
    with without_ray():
        ingest.run(context, [small_sources])
        filter.run(context)
        annotate.run(context)
        decide.run(context)
        return context, shard.run(context)


@pytest.fixture
def one_by_one():
    """See `without_ray`."""
    with without_ray() as done:
        yield done


@pytest.fixture(scope="module")
def module_one_by_one():
    """See `without_ray`; for fixtures of a module, and then for all of its tests."""
    with without_ray():
        yield


@pytest.fixture
def copy(released, tmp_path, one_by_one):
    """A copy of that run to do things to."""
    from pipeline.context import Context

    context, _ = released
    shutil.copytree(context.out, tmp_path / "copy")
    return Context(tmp_path / "copy", context.settings)


@pytest.fixture(scope="session")
def tiny_synchformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of Synchformer as its authors write theirs, small: widths fit the real numbers of heads."""
    return _synchformer(tmp_path_factory.mktemp("synchformer"), "off_head", 21)


@pytest.fixture(scope="session")
def tiny_synchronisability(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_synchformer`, with the head that tells whether a clip can be judged."""
    return _synchformer(tmp_path_factory.mktemp("synchronisability"), "sync_head", 2)


def _synchformer(folder: Path, head: str, classes: int) -> Path:
    import torch

    from filters.sync.audio_tower import AudioTower
    from filters.sync.synchformer_model import SEGMENTS, SyncTransformer
    from filters.sync.video_tower import VideoTower

    drawn = torch.Generator().manual_seed(0)
    parts = {
        "vfeat_extractor": VideoTower(24, 1, 12),
        "afeat_extractor": AudioTower(24, 1, 12),
        "vproj": torch.nn.Linear(24, 16),
        "aproj": torch.nn.Linear(24, 16),
        "transformer": SyncTransformer(16, 1, 8, (head, classes), 2 + 14 * SEGMENTS[head]),
    }
    named = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    state = {name: torch.randn(value.shape, generator=drawn) * 0.1 for name, value in named.items()}
    torch.save({"model": state, "args": Path("settings of the authors' own"), "epoch": 3}, folder / "tiny.pt")
    return folder / "tiny.pt"


@pytest.fixture(scope="session")
def tiny_imagebind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of ImageBind, a bare state dict, small: widths fit the real numbers of heads."""
    import torch

    from filters.semantic.imagebind_model import ImageBindModel

    widths = {"vision": 32, "text": 32, "audio": 24, "depth": 16, "thermal": 24, "imu": 16}
    named = {f"modality_trunks.{name}.blocks.0.norm_1.weight": torch.zeros(dim) for name, dim in widths.items()}
    named |= {"modality_preprocessors.text.token_embedding.weight": torch.zeros(64, 32)}
    named |= {"modality_heads.vision.2.weight": torch.zeros(16, 32)}
    drawn = torch.Generator().manual_seed(0)
    shapes = ImageBindModel(named).state_dict()
    path = tmp_path_factory.mktemp("imagebind") / "tiny.pth"
    torch.save({name: torch.randn(value.shape, generator=drawn) * 0.1 for name, value in shapes.items()}, path)
    return path
