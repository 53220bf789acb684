"""Transcription at the captioner: words and their times, who said them, languages, and silence where nobody speaks.

Every figure is of the stage's own columns, given the real facts of `audio.classes` (and `audio.voices`): the embedded
models on GRID, Kennedy, NASA and LibriSpeech (KLEAR_MEDIA), espeak-ng's sentences in a quiet room and over music, whose
word times are known exactly, talks of two synthetic voices, and sounds without words. RTF: CPU-seconds a second.
Run: python -m bench.transcription [--models tiny.en,base] [--record]
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np

from bench import markdown
from bench import transcription_sounds as heard_sounds
from bench.harness import record
from bench.transcription_sounds import RATE, Said, Talk
from captioners import speakers
from captioners.transcribe.reconciled import Reconciled
from captioners.transcribe.wer import character_error_rate, normalise, word_error_rate
from captioners.transcribe.whisperx import WhisperX
from filters.audio.classes import Classes
from filters.audio.voices import Voices
from media.views import AUDIO_16K, Views

Facts = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Ran:
    """A model over a list of sounds: a row each, and CPU-seconds a second of sound."""

    rows: list[dict[str, Any]]
    rtf: float


def main() -> None:
    """Measure, print, and with --record append to RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="tiny.en,base")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    models = options.models.split(",")
    corpus = heard_sounds.corpus()
    ran = {model: run(model, [said.audio for said in corpus]) for model in models}
    parts = [
        errors(corpus, ran),
        clips(corpus, ran),
        reconciled(corpus, ran) if len(ran) > 1 else "",
        hypotheses(corpus, ran),
        languages() if "base" in models else "",
        who_said_what(models[0]),
        nothing(models),
        phrases(models),
        together(models[0], corpus),
    ]
    intro = (__doc__ or "").split("Run:")[0]
    record("transcription", "\n\n".join(filter(None, [f"{intro}\n{markdown.machine()}.", *parts])), options.record)


def run(
    model: str, sounds: Sequence[np.ndarray], told: Callable[[np.ndarray], Facts] | None = None, at_once: int = 1
) -> Ran:
    """Transcribe. told: the facts of a sound, by default those of `audio.classes`. at_once: clips in one batch."""
    stage = WhisperX(model=model, batch=at_once)
    stage._load()
    given = [(None, views(sound), (told or facts_of)(sound)) for sound in sounds]
    began, rows = time.process_time(), []
    for start in range(0, len(given), at_once):
        rows += stage.many(given[start : start + at_once])  # type: ignore[arg-type]
    return Ran(rows, (time.process_time() - began) / sum(len(sound) for sound in sounds) * RATE)


def views(sound: np.ndarray) -> Views:
    """The one view that the stages ask for."""
    return Views({AUDIO_16K: sound})


def facts_of(sound: np.ndarray) -> Facts:
    """What `audio.classes` says of a sound."""
    return {"audio.classes": _classes(sound.tobytes())}


@lru_cache(maxsize=1000)
def _classes(sound: bytes) -> dict[str, Any]:
    return Classes()(None, views(np.frombuffer(sound, np.float32)), {})  # type: ignore[arg-type]


def errors(corpus: Sequence[Said], ran: Mapping[str, Ran]) -> str:
    """Error rates a group, and errors of word times."""
    rows = []
    for model, result in ran.items():
        groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for said, row in zip(corpus, result.rows):
            if said.text:
                groups[said.group].append((said.text, row["text"]))
        cells = [f"{word_error_rate(pairs):.3f} / {character_error_rate(pairs):.3f}" for pairs in groups.values()]
        rows.append([model, f"{result.rtf:.3f}", *cells, times(corpus, result.rows)])
        header = ["model", "RTF", *(f"{name} ({len(pairs)})" for name, pairs in groups.items())]
    table = markdown.table([*header, "start of a word, ms: median / 95%"], rows)
    return f"Word / character error rate, clips in brackets:\n\n{table}"


def times(corpus: Sequence[Said], rows: Sequence[Mapping[str, Any]]) -> str:
    """Absolute error of when words begin, over the sentences of which every word was heard rightly."""
    wrong = []
    for said, row in zip(corpus, rows):
        if said.words and normalise(said.text) == normalise(row["text"]) and len(row["words"]) == len(said.words):
            wrong += [abs(a["start_s"] - b.start_s) for a, b in zip(row["words"], said.words)]
    return f"{1000 * np.median(wrong):.0f} / {1000 * np.percentile(wrong, 95):.0f} ({len(wrong)} words)"


def clips(corpus: Sequence[Said], ran: Mapping[str, Ran]) -> str:
    """Each recording with a transcript: what was heard, and its error rates."""
    rows = []
    for number, said in enumerate(corpus):
        if said.text and not said.words and "over music" not in said.group:
            for model, result in ran.items():
                text = result.rows[number]["text"]
                pair = [(said.text, text)]
                rates = f"{word_error_rate(pair):.2f}", f"{character_error_rate(pair):.2f}"
                rows.append([said.name, model, *rates, text])
    return markdown.table(["clip", "model", "WER", "CER", "heard"], rows)


def reconciled(corpus: Sequence[Said], ran: Mapping[str, Ran]) -> str:
    """Two models reconciled: how many clips they dispute, and how wrong the text is there and elsewhere."""
    names = list(ran)[:2]
    stage, found = Reconciled(stages=names), []
    for number, said in enumerate(corpus):
        if said.text:
            facts = {name: ran[name].rows[number] for name in names}
            row = stage(None, None, facts)  # type: ignore[arg-type]
            found.append((row["disagreement"], (said.text, row["text"])))
    bands = ((0.0, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 1.01))
    rows = []
    for low, high in bands:
        pairs = [pair for apart, pair in found if low <= apart < high]
        rows.append([f"{low:g}-{min(high, 1):g}", len(pairs), f"{word_error_rate(pairs):.3f}" if pairs else "-"])
    title = f"`transcribe.reconciled` of {names[0]} and {names[1]}: word errors of the text by their disagreement."
    return f"{title}\n\n{markdown.table(['disagreement', 'clips', 'WER'], rows)}"


def hypotheses(corpus: Sequence[Said], ran: Mapping[str, Ran]) -> str:
    """What was heard in LibriSpeech, whose transcripts are not at hand."""
    rows = []
    for number, said in enumerate(corpus):
        if said.group == "LibriSpeech":
            name = said.name.split("/")[1]
            rows += [[name, model, result.rows[number]["text"]] for model, result in ran.items()]
    return markdown.table(["LibriSpeech", "model", "heard"], rows)


def languages() -> str:
    """Four synthetic sentences in other languages, by the multilingual model and by the English one under guard."""
    rows = []
    spoken = list(heard_sounds.foreign())
    for said, row in zip(spoken, run("base", [said.audio for said in spoken]).rows):
        told = {"audio.language": {"language": row["language"], "probability": row["language_probability"]}}
        english = WhisperX()(None, views(said.audio), facts_of(said.audio) | told)  # type: ignore[arg-type]
        found = f"{row['language']} {row['language_probability']:.2f}"
        rows.append([said.language, found, row["text"], english["guard"], english["heard"]])
    header = ["language", "base: language", "base: text", "tiny.en: guard", "tiny.en wrote"]
    return f"Synthetic voices (espeak-ng) in other languages:\n\n{markdown.table(header, rows)}"


def who_said_what(model: str) -> str:
    """Words of two voices given to their speakers, by the turns that `audio.voices` finds."""
    rows = []
    for talk in heard_sounds.talks():
        facts = facts_of(talk.audio)
        voices = Voices()(None, views(talk.audio), facts)  # type: ignore[arg-type]
        row = WhisperX(model=model)(None, views(talk.audio), facts)  # type: ignore[arg-type]
        words = speakers.spoken(row["words"], voices["turns"])
        pairs = matched(talk, words)
        rate = word_error_rate([(" ".join(w.word for _, w in talk.words), row["text"])])
        rows.append([talk.name, voices["speakers"], f"{rate:.2f}", len(talk.words), len(pairs), attributed(pairs)])
        rows[-1].append(overlapped(talk, pairs))
    header = [
        "voices, pause",
        "speakers found",
        "WER",
        "words",
        "heard",
        "of them given rightly",
        "talked over: found / is",
    ]
    return f"Two voices by turns, {model}:\n\n{markdown.table(header, rows)}"


Pair = tuple[str, float, Mapping[str, Any]]
"""The true speaker of a word, its middle in seconds, and the word as heard."""


def matched(talk: Talk, words: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """True words with the nearest heard one that is the same and begins within half a second."""
    pairs = []
    for voice, word in talk.words:
        same = [w for w in words if normalise(w["word"]) == normalise(word.word)]
        near = min(same, key=lambda w: abs(w["start_s"] - word.start_s), default=None)
        if near and abs(near["start_s"] - word.start_s) < 0.5:
            pairs.append((voice, (word.start_s + word.end_s) / 2, near))
    return pairs


def attributed(pairs: Sequence[Pair]) -> str:
    """Share of the words whose speaker is right, under the naming of speakers that fits best."""
    voices = sorted({voice for voice, _, _ in pairs})
    names = sorted({str(word["speaker"]) for _, _, word in pairs})
    namings = [dict(zip(order, voices)) for order in permutations([*names, "-"], min(len(names) + 1, len(voices)))]
    best = max(sum(naming.get(str(w["speaker"])) == voice for voice, _, w in pairs) for naming in namings)
    return f"{best / len(pairs):.2f}"


def overlapped(talk: Talk, pairs: Iterable[Pair]) -> str:
    """Words marked as talked over that are, of those that are."""
    spans = defaultdict(list)
    for voice, word in talk.words:
        spans[voice].append((word.start_s, word.end_s))
    truth = [(any(a <= at <= b for v, s in spans.items() if v != voice for a, b in s), w) for voice, at, w in pairs]
    found = sum(is_over and word["overlap"] for is_over, word in truth)
    wrong = sum(not is_over and word["overlap"] for is_over, word in truth)
    return f"{found} / {sum(is_over for is_over, _ in truth)}, wrongly {wrong}"


def nothing(models: Sequence[str]) -> str:
    """Sounds without words: in how many are words written, by what the stage is told of where somebody speaks."""
    sounds = list(heard_sounds.wordless())
    told = {"given audio.classes": facts_of, "told nothing": lambda _: {}, "told that all is speech": _all_speech}
    header, columns = ["sound", "pieces"], []
    for model in models:
        for name, facts in told.items():
            columns.append(run(model, [sound for _, _, sound in sounds], facts).rows)
            header.append(f"{model}, {name}")
    table = []
    for group in dict.fromkeys(group for group, _, _ in sounds):
        places = [i for i, (name, _, _) in enumerate(sounds) if name == group]
        counts = [[sum(bool(rows[i].get(c)) for i in places) for c in ("text", "heard")] for rows in columns]
        table.append([group, len(places), *(f"{text} ({heard})" for text, heard in counts)])
    title = "Pieces with words where nobody speaks, in brackets those in which the guard dropped or left some"
    return f"{title}:\n\n{markdown.table(header, table)}"


def _all_speech(sound: np.ndarray) -> Facts:
    spans = [{"start_s": 0.0, "end_s": len(sound) / RATE}]
    return {"audio.classes": {"audio_class": "speech", "speech_ratio": 1.0, "speech_spans": spans}}


def phrases(models: Sequence[str]) -> str:
    """Phrases that Whisper makes up, said in earnest: they must stay."""
    said = list(heard_sounds.phantoms())
    counts = {model: sum(bool(row["text"]) for row in run(model, [one.audio for one in said]).rows) for model in models}
    kept = ", ".join(f"{model} {count} of {len(said)}" for model, count in counts.items())
    return f"“Thank you”, “Okay”, “Yeah” and the like, said by four synthetic voices each and kept: {kept}."


def together(model: str, corpus: Sequence[Said]) -> str:
    """The cost of clips one by one and several at once, on one thread."""
    some = [said.audio for said in corpus if said.group == "espeak"]
    alone, eight = run(model, some), run(model, some, at_once=8)
    same = sum(a["text"] == b["text"] for a, b in zip(alone.rows, eight.rows))
    text = (
        f"{model}, {len(some)} sentences, one CPU thread: RTF {alone.rtf:.3f} one by one, {eight.rtf:.3f} eight at once"
    )
    return f"{text}; {same} of {len(some)} texts are the same."


if __name__ == "__main__":
    main()
