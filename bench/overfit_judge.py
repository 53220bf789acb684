"""How near each of the sixteen samples is to each of the sixteen clips, and which clip is the nearest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from bench.overfit_clips import CLIPS, decode
from bench.overfit_run import Variant, file_of, told_by
from trainer.codecs.fidelity import band_limit, log_spectral_distance, psnr

MDCT_HERTZ = 256 * 44_100 / 2048
"""What 256 of 1,024 coefficients reach."""


def judge(variant: Variant, out: Path, results: Path) -> dict[str, Any]:
    """Decode the samples of a variant and compare them; JSON-ready.

    Video: PSNR in dB of all pixels, larger is nearer. Sound: log-spectral distance in dB, smaller is nearer; for
    `mdct` the clips are band-limited as the codec is, and `lsd_low_db` is of that band for every codec, so that they
    can be compared. `rows` has a row a clip, in the order of CLIPS.
    """
    frames, sounds = read(out / "clips" / "originals.npz")
    limited = [limit(variant, sound) for sound in sounds]
    codec_frames, codec_sounds = read(out / "clips" / f"codec-{variant.name}.npz")
    made = samples(variant, results)
    seen = _matrix(psnr, frames, [m[0] for m in made])
    heard = _matrix(log_spectral_distance, limited, [m[1] for m in made])
    rows = [
        {
            "clip": f"{chosen.file} {chosen.start_s:g} s",
            "psnr_db": seen[i, i],
            "codec_psnr_db": psnr(frames[i], codec_frames[i]),
            "nearest_video": int(seen[:, i].argmax()),
            "lsd_db": heard[i, i],
            "codec_lsd_db": log_spectral_distance(limited[i], codec_sounds[i]),
            "lsd_low_db": log_spectral_distance(*(band_limit(x, MDCT_HERTZ) for x in (sounds[i], made[i][1]))),
            "nearest_audio": int(heard[:, i].argmin()),
            "next_psnr_db": float(np.delete(seen[:, i], i).max()),
            "next_lsd_db": float(np.delete(heard[:, i], i).min()),
        }
        for i, chosen in enumerate(CLIPS)
    ]
    named = ("psnr_db", "codec_psnr_db", "lsd_db", "codec_lsd_db", "lsd_low_db")
    medians = {name: float(np.median([row[name] for row in rows])) for name in named}
    hits = {f"hits_{m}": sum(r[f"nearest_{m}"] == i for i, r in enumerate(rows)) for m in ("video", "audio")}
    run = told_by(file_of(variant, results))
    return {"variant": variant.name, **hits, **medians, "run": run, "rows": rows}


def limit(variant: Variant, sound: np.ndarray) -> np.ndarray:
    """The sound as far as the variant's codec reaches."""
    return band_limit(sound, MDCT_HERTZ) if variant.audio_codec == "mdct" else sound


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames and samples that `overfit_clips.keep` wrote."""
    with np.load(path) as held:
        return held["frames"], held["samples"]


def samples(variant: Variant, results: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames and sound of a variant's samples, in the order of CLIPS."""
    latents = load_file(file_of(variant, results))
    return [decode(variant.encode, latents[f"{c.key}.video"], latents[f"{c.key}.audio"]) for c in CLIPS]


def _matrix(measure: Callable[[np.ndarray, np.ndarray], float], clips: Any, made: Any) -> np.ndarray:
    """measure(clip i, sample j): float64 (16, 16)."""
    return np.array([[measure(clip, sample) for sample in made] for clip in clips])
