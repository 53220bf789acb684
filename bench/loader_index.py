"""The index and the order at scale: memory and start-up at millions of made-up samples, and how good the shuffle is.

python -m bench.loader_index [--counts 1000000 10000000] [--record]
"""

import argparse
import multiprocessing
import random
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from bench import harness
from bench.loader_data import made_up
from bench.markdown import table
from trainer.data.index import Index
from trainer.data.mixture import mixture_weights
from trainer.data.stream import SampleStream

FAR = 10**12
HEADER = (
    *("samples", "read CPU-s", "bytes a sample", "stream CPU-s", "its bytes a sample", "peak MiB more"),
    *("key to row us", "a near draw us", "the first far draw ms"),
)


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/klear-loader"))
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    given.scratch.mkdir(exist_ok=True)
    lines = []
    for count in given.counts:
        path = given.scratch / f"made-up-{count}.parquet"
        if not path.exists():
            made_up(path, count)
        lines.append(in_a_process(path))
    text = table(HEADER, lines) + "\n\nStream: 25 capabilities, five classes, all tasks.\n\n" + shuffles()
    harness.record("the index at scale, and the shuffle", text, given.record)


def in_a_process(path: Path) -> list[str]:
    """`measure`, in a process of its own: memory that was used before does not count."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (path,))


def measure(path: Path) -> list[str]:
    """The cells of one count."""
    before = _peak_mib()
    index, read_s = _timed(lambda: Index.read(path))
    training = index.split("train")
    stream, stream_s = _timed(lambda: SampleStream(training, mixture_weights(training), 0))
    pools = sum(pool.nbytes for pool in stream._pools) + training.rows.nbytes
    more = _peak_mib() - before
    keys = [training[i].key for i in range(0, 1000)]
    _, lookup_s = _timed(lambda: [index.row(key) for key in keys])
    _, near_s = _timed(lambda: [stream.at(i) for i in range(4096)])
    _, far_s = _timed(lambda: [stream.at(FAR + i * 10**9) for i in range(20)])
    cells = [f"{len(index):,}", f"{read_s:.2f}", f"{index.nbytes / len(index):.1f}", f"{stream_s:.2f}"]
    cells += [f"{pools / len(index):.1f}", f"{more:.0f}", f"{lookup_s * 1e3:.1f}", f"{near_s / 4096 * 1e6:.0f}"]
    return [*cells, f"{far_s / 20 * 1e3:.1f}"]


def _timed(what: Any) -> tuple[Any, float]:
    """What it gives, and CPU-seconds."""
    began = time.process_time()
    return what(), time.process_time() - began


def _peak_mib() -> float:
    """Of this process alone: rusage also remembers that of the one it was forked from."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def shuffles(count: int = 100_000, buffer: int = 1000, shard: int = 400) -> str:
    """How far samples that follow each other lie apart in the source, in shares of its length; a perfect shuffle: 1/3.

    Of one capability, over one epoch. webdataset: shards in random order, then its buffer of 1,000 samples.
    """
    from trainer.data.permute import permuted

    orders = {
        "perfect (numpy)": np.random.default_rng(0).permutation(count),
        "ours": np.array([permuted(i, count, "0/music/T2AV/0") for i in range(count)]),
        "webdataset, shards and buffer": _buffered(count, buffer, shard),
    }
    header = ("order", "mean distance of neighbours", "of one shard", "serial correlation", "repeats in an epoch")
    lines = []
    for name, order in orders.items():
        apart = np.abs(np.diff(order))
        same = (order[1:] // shard == order[:-1] // shard).mean()
        serial = np.corrcoef(order[1:], order[:-1])[0, 1]
        lines.append([name, f"{apart.mean() / count:.4f}", f"{same:.4f}", f"{serial:+.4f}", count - len(set(order))])
    return table(header, lines) + "\n\n" + _class_correlation()


def _buffered(count: int, buffer: int, shard: int) -> np.ndarray:
    """What webdataset's `shardshuffle` and `shuffle(buffer)` do to 0 .. count - 1."""
    from webdataset.filters import _shuffle

    rng = random.Random(0)
    shards = list(range(count // shard))
    rng.shuffle(shards)
    source = (s * shard + i for s in shards for i in range(shard))
    return np.array(deque(_shuffle(source, buffer, buffer, rng)))


def _class_correlation(blocks: int = 3200) -> str:
    """Neighbours' capability, within a block of 64, where two share it equally: -1/63 for a perfect shuffle of it."""
    from trainer.data.sample import SampleInfo

    samples = [SampleInfo(f"{i}", name, ("T2A",)) for i, name in enumerate(("music", "sound"))]
    stream = SampleStream(samples, {"music/T2A": 1.0, "sound/T2A": 1.0}, 0)
    drawn = [float(stream.at(i).key) for i in range(blocks * 64)]
    classes = np.array(drawn).reshape(blocks, 64)
    found = np.corrcoef(classes[:, 1:].ravel(), classes[:, :-1].ravel())[0, 1]
    return (
        f"Serial correlation of classes within blocks of the stream: {found:+.4f} (a perfect shuffle: {-1 / 63:+.4f})."
    )


if __name__ == "__main__":
    main()
