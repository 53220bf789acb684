"""What editing leaves in a clip: bars, text, cuts and slides of known size, place and number."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

import cv2
import numpy as np

from filters.video.text import TEXT_FRAMES
from media.synth import edits, scenes
from media.synth.picture import backdrop
from media.synth.sounds import METAL
from media.views import FRAMES, LUMA_25, Views
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, detection, errors

FRAME = (360, 640)
BARS = (0.0, 0.02, 0.05, 0.1, 0.125, 0.2, 0.25)
"""Height of each of two bars, as a share of the picture."""
TEXTS = ("Where were you last night", "BREAKING NEWS", "Chapter 3: The river", "12:04:59", "follow for more")
LETTERS_PX = (14, 20, 28, 40)
"""Height of capital letters in a picture 640 wide."""
SHOT = 40


def check() -> Iterator[Finding]:
    """Bars, text, cuts, slides."""
    yield from (_bars(), *_text(), _cuts(), _slides())


def _film(seed: int, frames: int = SHOT) -> np.ndarray:
    """A bouncing ball before a swaying backdrop, (frames, 200, 320, 3)."""
    rng = np.random.default_rng(seed)
    sky, floor, ball = (tuple(int(c) for c in rng.integers(40, 220, 3)) for _ in range(3))
    scene = scenes.bounce(backdrop(seed, sky, floor), seed, frames / 25, 25, ball, 300.0, METAL)  # type: ignore[arg-type]
    return scene.frames[:frames]


def _pictures(seed: int, count: int = 8) -> np.ndarray:
    """Frames (count, 360, 640, 3), spread over a film."""
    return np.stack([cv2.resize(frame, FRAME[::-1]) for frame in _film(seed)[:: SHOT // count][:count]])


def _bars() -> Finding:
    """Black bars of each height, letterbox and pillarbox, with coding noise in them."""
    pairs = []
    for seed, share in enumerate(BARS):
        for axis in (1, 2):
            frames = _pictures(seed)
            edge = round(share * frames.shape[axis])
            noise = np.random.default_rng(seed).integers(0, 20, frames.shape).astype(np.uint8)
            inside = [slice(None)] * 4
            inside[axis] = slice(edge, frames.shape[axis] - edge)
            noise[tuple(inside)] = frames[tuple(inside)]
            found = through.on("video.borders", Views({FRAMES: noise}))["border_ratio"]
            pairs.append((2 * edge / frames.shape[axis], found))
    figures = errors(pairs, "of the picture") | detection([t > 0 for t, _ in pairs], [m > 0 for _, m in pairs])
    floors = {"95% of the picture": (None, 0.01), "precision": (1.0, None), "recall": (1.0, None)}
    return Finding("video.borders.border_ratio", "bars of 0 to 25% a side", len(pairs), figures, floors, pairs)


def _text() -> Iterator[Finding]:
    """Lines drawn at each size over half of the pictures; is it seen, where is it, and what does it say."""
    truths, seen, areas, read = [], [], [], []
    for number in range(len(TEXTS) * len(LETTERS_PX)):
        text, height = TEXTS[number % len(TEXTS)], LETTERS_PX[number % len(LETTERS_PX)]
        frames = _pictures(number, 3)
        for drawn in (True, False):
            area = _write(frames, text, height) if drawn else 0.0
            row = _ocr(frames if drawn else _pictures(number, 3))
            truths.append(drawn)
            seen.append(row["text_area"] > 0)
            if drawn:
                areas.append((area, row["text_area"]))
                said = " ".join(line["text"] for line in row["text_lines"])
                read.append(_alike(text, said))
    figures = detection(truths, seen)
    floors = {"precision": (0.95, None), "recall": (0.9, None)}
    yield Finding("video.text.text_ratio", "lines of 14 to 40 px letters", len(truths), figures, floors)
    yield Finding(
        "video.text.text_area",
        "lines of 14 to 40 px letters",
        len(areas),
        {**errors(areas, "of the picture"), "letters read": float(np.mean(read))},
        {"95% of the picture": (None, 0.03), "letters read": (0.9, None)},
        areas,
    )


def _write(frames: np.ndarray, text: str, height: int) -> float:
    """Draw the text on each frame, white with a dark edge; the share of the picture that its box covers."""
    face = cv2.FONT_HERSHEY_SIMPLEX
    scale = cv2.getFontScaleFromHeight(face, height, 2)
    (width, high), _ = cv2.getTextSize(text, face, scale, 2)
    place = ((FRAME[1] - width) // 2, FRAME[0] - 24)
    for frame in frames:
        for colour, thick in (((0, 0, 0), 5), ((250, 250, 250), 2)):
            cv2.putText(frame, text, place, face, scale, colour, thick, cv2.LINE_AA)
    return float(width * high / (FRAME[0] * FRAME[1]))


def _ocr(frames: np.ndarray) -> dict[str, Any]:
    return through.on("video.text", Views({TEXT_FRAMES: frames}))


def _alike(a: str, b: str) -> float:
    """Share of the letters that two texts have in common, in [0, 1]; spaces and case apart."""
    one, other = (text.replace(" ", "").lower() for text in (a, b))
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _grey(frames: np.ndarray) -> Views:
    small = [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (230, 144)) for frame in frames]
    return Views({LUMA_25: np.stack(small)})


def _cuts() -> Finding:
    """Films of 1 to 5 shots, and one with a flash; how many cuts are counted."""
    pairs = []
    for count in range(1, 6):
        shots = [_film(10 * count + n) for n in range(count)]
        film = edits.join(shots, ["cut"] * (count - 1)).frames if count > 1 else shots[0]
        pairs.append((count - 1.0, float(through.on("video.edits", _grey(film))["cuts"])))
    flashed = edits.flashed(_film(70), 20)
    pairs.append((0.0, float(through.on("video.edits", _grey(flashed))["cuts"])))
    wrong = float(np.mean([truth != found for truth, found in pairs]))
    return Finding(
        "video.edits.cuts", "films of 1 to 5 shots", len(pairs), {"wrong": wrong}, {"wrong": (None, 0.0)}, pairs
    )


def _slides() -> Finding:
    """Slideshows of 2 to 4 pictures before a moving rest: the share of the clip that they fill."""
    pairs = []
    for count in range(2, 5):
        stills = [np.repeat(_film(80 + 10 * count + n)[:1], 30, 0) for n in range(count)]
        film = np.concatenate([*stills, _film(90 + count)])
        pairs.append((30 * count / len(film), through.on("video.edits", _grey(film))["slideshow_ratio"]))
    pairs.append((0.0, through.on("video.edits", _grey(_film(99)))["slideshow_ratio"]))
    figures = errors(pairs, "of the clip")
    floors = {"95% of the clip": (None, 0.05)}
    return Finding("video.edits.slideshow_ratio", "2 to 4 slides", len(pairs), figures, floors, pairs)
