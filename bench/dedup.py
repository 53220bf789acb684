"""Near duplicates: who is found again, who is mistaken, and what the search costs for millions.

Ranges of real footage (KLEAR_MEDIA) are re-encoded the way re-uploads are; recall is the share found again by the whole
search with the default settings, mistakes are pairs of different ranges. `picture`, `sound`: median and largest
distance. The search at size runs on made-up fingerprints of random words with 5% of noisy copies and 3% of clips that
crowd under twenty keys. Run: python -m bench.dedup [--record] [--sizes 250000 1000000 2000000]
"""

import argparse
import ast
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import markdown
from bench.harness import record
from filters.duplicates.fingerprint import STAGE
from filters.duplicates.sketch import smallest
from manifests.schema import ID
from media import ffmpeg
from media.render import render_views
from media.whole import whole_clip
from pipeline.config import DedupSettings
from pipeline.jobs import candidates, nearness

RANGES = (
    *(("video/big_buck_bunny_0_30.webm", start, 4.0) for start in (1.0, 5.0, 12.0, 16.0, 19.0, 24.5)),
    *(("video/nasa_13013.mp4", start, 4.0) for start in (0.0, 4.0, 8.5)),
    *(("video/chaplin.mp4", start, 4.0) for start in (0.0, 4.5)),
    *((f"grid/{name}.mpg", 0.0, 2.6) for name in ("bbaf2n", "brbk7n", "lrwp9a", "lwbsza", "sbia1a", "swiz3n")),
)
VARIANTS: dict[str, dict[str, object]] = {
    "re-encoded, crf 35, 64 kbit/s": {"crf": 35, "rate": "64k"},
    "half size": {"picture": "scale=iw/2:-2"},
    "letterbox": {"picture": "pad=iw:ih*4/3:0:(oh-ih)/2"},
    "brighter, more contrast": {"picture": "eq=brightness=0.08:contrast=1.15"},
    "cropped by 8%": {"picture": "crop=iw*0.92:ih*0.92"},
    "9 dB quieter": {"sound": "volume=-9dB"},
    "0.3 s later": {"shift": 0.3},
    "half, brighter, quieter, crf 32, 0.3 s later": {
        "picture": "scale=iw/2:-2,eq=brightness=0.05", "sound": "volume=-6dB", "crf": 32, "rate": "64k", "shift": 0.3
    },
    "mirrored (not expected)": {"picture": "hflip"},
    "another soundtrack (not expected)": {"other": True},
}  # fmt: skip
CROWD = 20


def write(path: Path, number: int, media: Path, *, picture: str = "null", sound: str = "anull", crf: int = 18,
          rate: str = "192k", shift: float = 0.0, other: bool = False) -> Path:  # fmt: skip
    """One range, changed and encoded as H.264 and AAC."""
    name, start, seconds = RANGES[number]
    heard, at, _ = RANGES[(number + 3) % len(RANGES)] if other else RANGES[number]
    argv = [ffmpeg.binary(), "-y", "-loglevel", "error"]
    argv += ["-ss", str(start + shift), "-t", str(seconds), "-i", str(media / name)]
    argv += ["-ss", str(at + shift), "-t", str(seconds), "-i", str(media / heard), "-map", "0:v:0", "-map", "1:a:0"]
    argv += ["-vf", f"{picture},scale=trunc(iw/2)*2:trunc(ih/2)*2", "-af", sound, "-c:v", "libx264"]
    argv += ["-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", rate, str(path)]
    subprocess.run(argv, check=True, capture_output=True)
    return path


def fingerprint(path: Path) -> tuple[dict, float]:
    """The stage's columns of a file, and its CPU-seconds a second of clip, rendering apart."""
    stage, clip = STAGE(), whole_clip(path)
    with render_views(clip, stage.VIEWS) as views:
        began = time.process_time()
        return stage(clip, views, {}), (time.process_time() - began) / clip.duration_s


def found_again(media: Path) -> tuple[list[list[object]], str]:
    """A row a variant; and what the fingerprints cost."""
    prints: list[dict] = []
    costs: list[float] = []
    kinds = ["original", *VARIANTS]
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            for number in range(len(RANGES)):
                made = write(Path(folder) / "clip.mp4", number, media, **VARIANTS.get(kind, {}))  # type: ignore[arg-type]
                columns, cost = fingerprint(made)
                prints.append(columns)
                costs.append(cost)
    count = len(RANGES)
    rows = []
    for position, kind in enumerate(kinds[1:], 1):
        some = [*range(count), *range(position * count, (position + 1) * count)]
        rows.append([kind, *_score([prints[i] for i in some], count)])
    return rows, f"{np.mean(costs):.4f} CPU-s a second of clip"


def _score(prints: list[dict], count: int) -> list[object]:
    """Found, alike in picture, in sound; mistaken pairs; distances of the true pairs that met in a band."""
    settings = DedupSettings()
    con = duckdb.connect()
    con.register("prints", _table(prints))
    candidates.find(con, "prints", settings.neighbours)
    tables = [t.to_pylist() for t in nearness.near_pairs(con, "prints", settings.overlap)]
    near = {(_number(r["a"]), _number(r["b"])): r for rows in tables for r in rows}
    true = [near.get((i, i + count), {}) for i in range(count)]
    seen, heard = ([_alike(r, name, getattr(settings, name)) for r in true] for name in ("picture", "sound"))
    strange = [r for (a, b), r in near.items() if b - a != count]
    wrong = sum(_alike(r, "picture", settings.picture) and _alike(r, "sound", settings.sound) for r in strange)
    both = [a and b for a, b in zip(seen, heard)]
    told = [_spread([r[w] for r in true if r.get(w) is not None]) for w in ("picture", "sound")]
    return [f"{sum(both)}/{count}", f"{sum(seen)}/{count}", f"{sum(heard)}/{count}", wrong, *told]


def _alike(pair: dict, name: str, limit: float) -> bool:
    distance = pair.get(name)
    return distance is not None and distance <= limit


def _number(clip_id: bytes) -> int:
    return int.from_bytes(clip_id, "big")


def _spread(values: list[float]) -> str:
    return f"{np.median(values):.3f}, {max(values):.3f}" if values else "-"


def _table(prints: list[dict]) -> pa.Table:
    ids = {"clip_id": pa.array([i.to_bytes(16, "big") for i in range(len(prints))], ID)}
    ids["source_id"] = ids["clip_id"]
    return pa.table(
        {**ids, **{name: pa.array([p[name] for p in prints], kind) for name, kind in STAGE.COLUMNS.items()}}
    )


def made_up(clips: int, seed: int = 0) -> Iterator[pa.Table]:
    """Fingerprints of clips of 2 s, in tables of 50,000: 5% are noisy copies, 3% crowd under twenty keys."""
    rng = np.random.default_rng(seed)
    for start in range(0, clips, 50_000):
        n = min(50_000, clips - start)
        picture = rng.integers(1, 2**64, (n, 8), dtype=np.uint64)
        sound = rng.integers(1, 2**32, (n, 20), dtype=np.uint32)
        crowd = rng.random(n) < 0.03
        keys = rng.integers(1, CROWD + 1, (int(crowd.sum()), 1), dtype=np.uint64) << np.uint64(40)
        picture[crowd] = keys | (picture[crowd] >> np.uint64(24))
        copies = np.flatnonzero(rng.random(n) < 0.05)
        copies = copies[copies >= n // 2]
        picture[copies], sound[copies] = picture[copies - n // 2], sound[copies - n // 2]
        picture[copies, ::2] ^= np.uint64(1) << rng.integers(0, 64, (len(copies), 4), dtype=np.uint64)
        sound[copies, ::2] ^= np.uint32(1) << rng.integers(0, 32, (len(copies), 10), dtype=np.uint32)
        yield _sketched(picture, sound, start)


def _sketched(picture: np.ndarray, sound: np.ndarray, start: int) -> pa.Table:
    """Words as the stage writes them; sketches of so few words are all of them."""
    n = len(picture)
    ids = pa.array([bytes(8) + (start + i).to_bytes(8, "big") for i in range(n)], ID)
    turned = (picture << np.uint64(20)) | (picture >> np.uint64(44))
    chosen = np.stack([row[smallest(row.astype(np.uint64), 16)] for row in sound])
    lists = {
        "picture_0": pa.FixedSizeListArray.from_arrays(picture.ravel(), 8),
        "picture_1": pa.FixedSizeListArray.from_arrays(turned.ravel(), 8),
        "sound_0": pa.FixedSizeListArray.from_arrays(chosen.ravel(), 16),
    }
    words = {"picture": [row.tobytes() for row in picture], "sound": [row.tobytes() for row in sound]}
    lists = {name: array.cast(pa.list_(array.type.value_type)) for name, array in lists.items()}
    return pa.table({"clip_id": ids, "source_id": ids, **words, **lists})


def search(clips: int) -> list[object]:
    """One search over so many made-up clips, in this process; the row of its costs."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        path = Path(folder) / "prints.parquet"
        with pq.ParquetWriter(path, next(made_up(1)).schema, compression="zstd") as writer:
            for table in made_up(clips):
                writer.write_table(table)
        con = duckdb.connect()
        con.execute(f"SET memory_limit = '3GB'; SET temp_directory = '{folder}'; SET preserve_insertion_order = false")
        con.execute(f"CREATE VIEW prints AS SELECT * FROM '{path}'")
        began = time.monotonic()
        bands = candidates.find(con, "prints", DedupSettings().neighbours)
        met = time.monotonic() - began
        found = sum(len(t.filter(pa.compute.less(t["sound"], 0.2))) for t in nearness.near_pairs(con, "prints", 0.6))
        checked = time.monotonic() - began - met
    (pairs,) = con.execute("SELECT count(*) FROM candidates").fetchall()[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    crowd = max(band["largest"] for band in bands)
    return [f"{clips:,}", f"{met:.0f}", f"{pairs:,}", f"{checked:.0f}", f"{found:,}", f"{crowd:,}", f"{peak:.2f}"]


def main() -> None:
    """Measure, print, and with --record append to RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="*", default=[250_000, 1_000_000, 2_000_000])
    parser.add_argument("--search", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.search:
        print(repr(search(given.search)))
        return
    rows, cost = found_again(Path(os.environ["KLEAR_MEDIA"]))
    again = ["variant", "found", "by picture", "by sound", "mistaken pairs", "picture", "sound"]
    text = (
        f"{__doc__.split('Run:')[0]}\n{markdown.machine()}. Fingerprints: {cost}.\n\n{markdown.table(again, rows)}\n\n"  # type: ignore[union-attr]
    )
    header = ["clips", "bands, s", "candidates", "distances, s", "copies found", "most under one key", "peak RSS, GB"]
    sized = [_alone(size) for size in given.sizes]
    record("near duplicates", text + markdown.table(header, sized), given.record)


def _alone(size: int) -> list[object]:
    """`search` in a process of its own, so that its peak memory is its own."""
    argv = [sys.executable, "-m", "bench.dedup", "--search", str(size)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found: list[object] = ast.literal_eval(done.stdout)
    return found


if __name__ == "__main__":
    main()
