"""What the samples look and sound like: a contact sheet, a sheet of spectrograms, and two of them to play."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.overfit_clips import CLIPS
from bench.overfit_judge import limit, read, samples
from bench.overfit_run import Variant
from media.writer import write_mp4
from trainer.codecs.logmel4 import log_mel
from trainer.data.media import FPS, RATE

SHOWN = (0, 24, 48)
"""Frames on the contact sheet: the first, the middle, the last."""
_GAP, _FLOOR_DB = 4, -60.0


def draw(variant: Variant, out: Path, results: Path) -> list[Path]:
    """Write OUT/judged/<variant>-*.png: a row a clip, original, codec and sample side by side; and two films."""
    folder = out / "judged"
    folder.mkdir(parents=True, exist_ok=True)
    frames, sounds = read(out / "clips" / "originals.npz")
    seen, heard = read(out / "clips" / f"codec-{variant.name}.npz")
    made = samples(variant, results)
    pictures = [[_frames(x) for x in (frames[i], seen[i], made[i][0])] for i in range(len(CLIPS))]
    spectra = [[_spectra(limit(variant, sounds[i]), heard[i], made[i][1])] for i in range(len(CLIPS))]
    paths = [folder / f"{variant.name}-contact.png", folder / f"{variant.name}-spectrograms.png"]
    for path, rows in zip(paths, (pictures, spectra), strict=True):
        Image.fromarray(_sheet(rows)).save(path)
    for i in (0, 8):
        paths.append(folder / f"{variant.name}-{i:02d}.mp4")
        write_mp4(paths[-1], made[i][0], FPS, made[i][1], RATE)
    return paths


def _frames(clip: np.ndarray) -> np.ndarray:
    """Uint8 (80, 3 * 128, 3)."""
    return np.concatenate([clip[i] for i in SHOWN], 1)


def _spectra(*sounds: np.ndarray) -> np.ndarray:
    """Log-mel levels of the original and those compared with it, low bands below: uint8 (80, frames, 3)."""
    levels = [log_mel(sound).numpy().T[::-1] * (20 / np.log(10)) for sound in sounds]
    top = levels[0].max()
    shades = [np.clip((x - top) / -_FLOOR_DB + 1, 0, 1) * 255 for x in levels]
    grey = np.concatenate([np.pad(x, ((0, 0), (0, _GAP)), constant_values=255) for x in shades], 1)
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, 2)


def _sheet(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Cells of equal size below and beside each other, with white gaps."""
    cells = [[np.pad(c, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for c in row] for row in rows]
    return np.concatenate([np.concatenate(row, 1) for row in cells])
