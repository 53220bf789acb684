"""Measured facts about the picture as clauses of English. Each function says one thing, or nothing ("")."""

from captioners.caption.phrases import article, counted, listing, pick, share
from media.stage import Facts, Row

GREYS = {"black", "grey", "white"}
COLOURLESS = 8.0
"""Hasler and Suesstrunk: 0 grey, 15 slight; compression leaves a few units on black-and-white film."""
STEADY_PX = 0.15
"""Motion below which nothing seems to move, px/frame at 256 wide and 25 fps: a talking head has 0.3, a pan several."""


def look(clip_id: bytes, stills: Row) -> str:
    """Light, contrast and colourfulness in one noun phrase, e.g. "a dim, muted scene"."""
    colourful = stills.get("colourfulness")
    words = [light(stills.get("luma_mean")), contrast(stills.get("luma_std")), palette(colourful)]
    words = [word for word in words if word]
    if not words and not stills.get("colours"):
        return ""
    noun = pick(["picture", "scene", "shot", "view"], clip_id, "noun")
    return article(", ".join(words) + f" {noun}" if words else noun)


def colours(clip_id: bytes, stills: Row) -> str:
    """The main colours, unless all of it is grey."""
    named = list(stills.get("colours") or [])
    colourful = stills.get("colourfulness")
    if (colourful is not None and colourful < COLOURLESS) or not [c for c in named if c not in GREYS]:
        return ""
    return f"{pick(['with', 'dominated by', 'mostly in', 'in'], clip_id, 'colour')} {listing(named)}"


def light(mean: float | None) -> str:
    """Mean luma, 0 to 255, in a word."""
    if mean is None:
        return ""
    return "dark" if mean < 60 else "dim" if mean < 90 else "bright" if mean > 165 else "evenly lit"


def contrast(std: float | None) -> str:
    """Deviation of luma in a word, where it is far from usual."""
    if std is None:
        return ""
    return "low-contrast" if std < 30 else "high-contrast" if std > 75 else ""


def palette(colourfulness: float | None) -> str:
    """Colourfulness in a word, where it is far from usual."""
    if colourfulness is None:
        return ""
    if colourfulness < COLOURLESS:
        return "black-and-white"
    return "muted" if colourfulness < 20 else "vividly coloured" if colourfulness > 60 else ""


def faces(clip_id: bytes, facts: Facts) -> str:
    """How many faces, how large, how long, and whether lips move with the voice."""
    row = facts.get("video.faces", {})
    number = row.get("faces") or 0
    if not number or (row.get("face_ratio") or 0.0) < 0.1:
        return ""
    said = pick(["{} in view", "{} can be seen", "the picture shows {}"], clip_id, "face").format(
        counted(number, "face", "faces")
    )
    if " in view" in said:
        said = f"there {'is' if number == 1 else 'are'} {said}"
    said += f" {share(row['face_ratio'])}"
    return said + {"close": ", close up", "far": ", at a distance"}.get(distance(row.get("face_area")), "")


def distance(area: float | None) -> str:
    """By the largest face's share of the picture: close, middle, far; "" when unknown."""
    if area is None:
        return ""
    return "close" if area > 0.08 else "far" if area < 0.005 else "middle"


def talking(clip_id: bytes, facts: Facts) -> str:
    """That a face in view is the one that speaks."""
    told = facts.get("sync.lips", {})
    if told.get("voice_place") not in {"on_screen", "mixed"}:
        return ""
    return pick(["lips move with the voice", "a face in view is speaking"], clip_id, "talk")


def pace(motion: Row) -> str:
    """How much moves, by mean flow: "no", "hardly any", "gentle", "steady", "fast"; "" when unknown."""
    speed, still = motion.get("motion_px"), motion.get("static_ratio")
    if speed is None:
        return ""
    if still is not None and still >= 0.95:
        return "no"
    bounds = ((STEADY_PX, "hardly any"), (0.6, "gentle"), (2.0, "steady"))
    return next((word for bound, word in bounds if speed < bound), "fast")


def movement(clip_id: bytes, motion: Row) -> str:
    """How much moves, in a clause."""
    options = {
        "no": ["nothing moves", "the picture stands still"],
        "hardly any": ["there is hardly any movement", "it barely moves"],
        "gentle": ["there is gentle movement", "it moves gently"],
        "steady": ["there is steady movement", "it moves steadily"],
        "fast": ["there is fast movement", "much of the picture moves fast"],
    }.get(pace(motion))
    return pick(options, clip_id, "move") if options else ""


def camera(clip_id: bytes, motion: Row) -> str:
    """Whether the camera moves, shakes, or stands while something moves before it."""
    moved, shake, area = motion.get("camera_px"), motion.get("shake_px"), motion.get("subject_area")
    if moved is None or pace(motion) in {"", "no", "hardly any"}:
        return ""
    if shake is not None and shake >= 1.0:
        return pick(["the camera is shaky", "the camera shakes"], clip_id, "camera")
    if moved >= 1.0:
        return pick(["the camera moves", "the view travels"], clip_id, "camera")
    if moved < 0.3 and area:
        told = "a small part" if area < 0.05 else "a large part" if area > 0.3 else "part of the picture"
        lead = pick(["the camera stands still while", "before a still camera,"], clip_id, "camera")
        return f"{lead} {told} moves"
    return ""


def text(clip_id: bytes, row: Row) -> str:
    """What can be read, word for word."""
    lines = readable(row)
    if not lines:
        return ""
    quoted = listing([f"“{line}”" for line in lines[:4]])
    lead = pick(["on screen one reads", "the picture shows the text", "text on screen says"], clip_id, "text")
    return f"{lead} {quoted}"


def readable(row: Row) -> list[str]:
    """The lines that were read surely, by first appearance."""
    return [one["text"] for one in row.get("text_lines") or [] if one["confidence"] >= 0.8 and len(one["text"]) > 1]


def edits(clip_id: bytes, row: Row) -> str:
    """Cuts, slides and standing pictures inside the clip."""
    if (row.get("slides") or 0) >= 2 and (row.get("slideshow_ratio") or 0.0) >= 0.5:
        stills = counted(row["slides"], "still", "stills")
        return f"{pick(['it is a slide show of', 'it shows'], clip_id, 'slides')} {stills}"
    if row.get("cuts"):
        return f"{pick(['it has', 'it is broken by'], clip_id, 'cuts')} {counted(row['cuts'], 'cut', 'cuts')}"
    return ""


def sharpness(clip_id: bytes, value: float | None) -> str:
    """Variance of the Laplacian at a short side of 360 px; between the bounds nothing is said."""
    if value is None or 60 <= value < 800:
        return ""
    options = ["it looks soft", "the image is soft"] if value < 60 else ["it is rich in fine detail", "it is crisp"]
    return pick(options, clip_id, "sharp")


def frame(clip_id: bytes, technical: Row) -> str:
    """Shape and size of the picture."""
    width, height = technical.get("width"), technical.get("height")
    if not width or not height:
        return ""
    ratio, short = width / height, min(width, height)
    shape = "tall" if ratio < 0.9 else "square" if ratio < 1.15 else "4:3" if ratio < 1.45 else "wide"
    size = "high-definition" if short >= 720 else "standard-definition" if short >= 480 else "small"
    return f"{pick(['the frame is', 'it is framed'], clip_id, 'frame')} {shape} and {size}"
