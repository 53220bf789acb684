"""The loader against plain webdataset on the same tars, taking turns: samples/s, MB/s, CPU-seconds.

python -m bench.loader [--scratch FOLDER] [--rounds 3] [--record]

Ours reads by index in the stream's order (weighted, deterministic, any position), the peer reads the tars through and
shuffles in a buffer; both decode safetensors, which the peer does with `safetensors.torch.load`. `+ normalise` is what
training asks for: float32, companded and scaled. `+ read-ahead` lets four threads do it. Cold: the kernel was told to
forget the tars, which it does for a file that nobody holds.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import webdataset as wds
from safetensors.torch import load

from bench import harness
from bench.loader_data import LARGE, SMALL, Kind, make
from bench.markdown import table
from trainer.data.latents import LatentSet
from trainer.data.mixture import mixture_weights
from trainer.data.stream import SampleStream

WAYS = ("webdataset", "ours", "ours + normalise", "ours + normalise + read-ahead")
HEADER = ("samples", "cache", "processes", "loader", "samples/s", "MB/s", "CPU-ms a sample", "of webdataset")
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Told:
    """What one process read in its time. start_s: until it was ready."""

    start_s: float
    wall_s: float
    cpu_s: float
    samples: int
    bytes: int


def main() -> None:
    """Make the data, measure in turns, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/klear-loader"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[list[object]] = []
    for kind in (SMALL, LARGE):
        folder = make(given.scratch, kind)
        for cold in (False, True):
            for processes in (1, 2):
                lines += rows(folder, kind, processes, cold, given.rounds)
    sizes = ", ".join(f"{k.name}: {_mean_size(given.scratch / k.name) / 1e6:.3f} MB" for k in (SMALL, LARGE))
    text = table(HEADER, lines) + f"\n\n{sizes}; {given.rounds} rounds, each way once a round, the median of each."
    harness.record(f"the loader against webdataset, {os.cpu_count()} cores", text, given.record)


def rows(folder: Path, kind: Kind, processes: int, cold: bool, rounds: int) -> list[list[object]]:
    """The lines of one setting."""
    told: dict[str, list[list[Told]]] = {way: [] for way in WAYS}
    for round_ in range(rounds):
        for way in WAYS[round_ % len(WAYS) :] + WAYS[: round_ % len(WAYS)]:
            for path in folder.glob("*.tar") if cold else ():
                _forget(path)
            told[way].append(run(way, folder, kind, processes))
    speed = {way: statistics.median(_rate(parts) for parts in told[way]) for way in WAYS}
    return [_line(way, kind, processes, cold, told[way], speed) for way in WAYS]


def _line(
    way: str, kind: Kind, processes: int, cold: bool, told: list[list[Told]], speed: dict[str, float]
) -> list[object]:
    parts = [part for one in told for part in one]
    each = sum(p.bytes for p in parts) / sum(p.samples for p in parts)
    cpu = statistics.median(sum(p.cpu_s for p in one) / sum(p.samples for p in one) for one in told)
    cells = [kind.name, "cold" if cold else "warm", processes, way, f"{speed[way]:.0f}"]
    return [*cells, f"{speed[way] * each / 1e6:.0f}", f"{cpu * 1e3:.2f}", f"{speed[way] / speed['webdataset']:.2f}"]


def _rate(parts: list[Told]) -> float:
    return sum(p.samples for p in parts) / max(p.wall_s for p in parts)


def run(way: str, folder: Path, kind: Kind, processes: int) -> list[Told]:
    """One epoch, shared by processes that begin together."""
    queue, barrier = _FORK.SimpleQueue(), _FORK.Barrier(processes)
    workers = [
        _FORK.Process(target=_work, args=(way, folder, kind, rank, processes, barrier, queue))
        for rank in range(processes)
    ]
    for worker in workers:
        worker.start()
    told = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    return told


def _work(way: str, folder: Path, kind: Kind, rank: int, of: int, barrier: Any, queue: Any) -> None:
    began = time.perf_counter()
    read = _webdataset(folder, kind, rank, of) if way == "webdataset" else _ours(way, folder, kind, rank, of)
    ready = time.perf_counter() - began
    barrier.wait()
    began, cpu, count, total = time.perf_counter(), time.process_time(), 0, 0
    for size in read:
        count += 1
        total += size
    queue.put(Told(ready, time.perf_counter() - began, time.process_time() - cpu, count, total))


def _webdataset(folder: Path, kind: Kind, rank: int, of: int) -> Iterator[int]:
    urls = sorted(map(str, folder.glob("*.tar")))[rank::of]
    pipeline = wds.WebDataset(urls, shardshuffle=len(urls), empty_check=False).shuffle(kind.buffer)
    return (_size(sample["latents.safetensors"], load(sample["latents.safetensors"])) for sample in pipeline)


def _size(data: bytes, tensors: dict[str, torch.Tensor]) -> int:
    assert len(tensors) == 5
    return len(data)


def _ours(way: str, folder: Path, kind: Kind, rank: int, of: int) -> Iterator[int]:
    latents = LatentSet(folder, cache_bytes=0, threads=4)
    stream = SampleStream(latents.training, mixture_weights(latents.training, 1.0, {"T2AV": 1.0}), 0)
    positions = range(rank, kind.count, of)
    if way == "ours":
        return (_raw(latents, stream.at(position).key) for position in positions)
    return _loaded(latents, stream, positions, way.endswith("read-ahead"))


def _raw(latents: LatentSet, key: str) -> int:
    return sum(tensor.nbytes for tensor in latents.load_raw(key).values())


def _loaded(latents: LatentSet, stream: SampleStream, positions: range, ahead: bool) -> Iterator[int]:
    for first in range(0, len(positions), 32):
        keys = [stream.at(position).key for position in positions[first : first + 32]]
        if ahead:
            latents.prefetch(keys)
        for key in keys:
            sample = latents.load(key)
            yield (sample.video.nbytes + sample.audio.nbytes + sample.video_text.nbytes + sample.audio_text.nbytes) // 2


def _mean_size(folder: Path) -> float:
    index = LatentSet(folder).index
    return statistics.fmean(index.place(row).size for row in range(len(index)))


def _forget(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
