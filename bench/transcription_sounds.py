"""What transcription is measured on: speech with its true words, talks of two speakers, and sounds without words."""

import csv
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soxr

from media.synth import music, sounds
from media.synth.speech import Line, Spoken, speak
from media.synth.truth import Word
from pipeline.selfcheck import drawn_sounds, labelled

RATE = 16_000
VOICES = ("en-us+m3", "en-us+f2", "en-us+m1", "en-us+f4")
SENTENCES = (
    "The old lighthouse keeper counts every ship that passes the harbour",
    "My grandmother grows tomatoes and yellow peppers on the roof of her house",
    "Tomorrow morning the train will leave the station ten minutes early",
    "Did you remember to bring the camera for the long trip",
    "Yes I packed it in the green bag behind the door",
    "Please close the window before the rain comes in",
)
PHANTOMS = ("Thank you", "Thank you very much", "Okay", "Bye bye", "Yeah", "Oh yeah")
FOREIGN = (
    ("de", "Morgen früh fährt der Zug zehn Minuten früher ab weil die Brücke repariert wird", "de"),
    ("fr", "Le vieux gardien du phare compte chaque bateau qui passe devant le port", "fr+f2"),
    ("es", "Mañana por la mañana el tren saldrá de la estación diez minutos antes", "es"),
    ("it", "La nonna coltiva pomodori e peperoni gialli sul tetto della sua casa", "it"),
)


@dataclass(frozen=True)
class Said:
    """Speech: float32 (n,) at 16 kHz, its words ("" when not known), and their times where they are known exactly."""

    group: str
    name: str
    audio: np.ndarray
    text: str
    words: tuple[Word, ...] = ()
    language: str = "en"


def read(name: str) -> np.ndarray:
    """The first sound track of a file of KLEAR_MEDIA, mono."""
    path = Path(os.environ["KLEAR_MEDIA"]) / name
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a:0"]
    command += ["-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)


def recordings() -> Iterator[Said]:
    """GRID, Kennedy, NASA with their transcripts, LibriSpeech without."""
    with (Path(os.environ["KLEAR_MEDIA"]) / "MEDIA.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    groups = {"grid": "GRID", "librispeech": "LibriSpeech", "speech": "JFK", "video": "NASA"}
    for row in rows:
        folder = row["file"].split("/")[0]
        if row["transcript"] or folder == "librispeech":
            yield Said(groups[folder], row["file"], read(row["file"]), row["transcript"] or "")


def synthetic() -> Iterator[Said]:
    """Every sentence by every voice, with exact word times, in a quiet room, half a second before and after."""
    pairs = [(text, voice) for text in SENTENCES for voice in VOICES]
    for (text, voice), spoken in zip(pairs, speak([Line(text, voice) for text, voice in pairs])):
        yield Said("espeak", f"{voice}: {text}", *_in_a_room(spoken, text))


def foreign() -> Iterator[Said]:
    """A sentence in each of four other languages."""
    for (code, text, _), spoken in zip(FOREIGN, speak([Line(text, voice) for _, text, voice in FOREIGN])):
        audio, _, words = _in_a_room(spoken, text)
        yield Said("foreign", code, audio, text, words, code)


def phantoms() -> Iterator[Said]:
    """Phrases that Whisper makes up over music, said in earnest by every voice."""
    pairs = [(text, voice) for text in PHANTOMS for voice in VOICES]
    for (text, voice), spoken in zip(pairs, speak([Line(text, voice) for text, voice in pairs])):
        yield Said("phantoms", f"{voice}: {text}", *_in_a_room(spoken, text))


def over_music(said: Sequence[Said], ratio_db: float) -> Iterator[Said]:
    """The same, over Big Buck Bunny's and Chaplin's music by turns, the voice `ratio_db` above it."""
    scores = [read("video/big_buck_bunny_0_30.webm")[2 * RATE :], read("video/chaplin.mp4")]
    for number, one in enumerate(said):
        score = np.resize(scores[number % 2], len(one.audio))
        gain = np.sqrt(np.mean(one.audio**2) / np.mean(score**2) / 10 ** (ratio_db / 10))
        mix = one.audio + gain * score
        yield Said(f"espeak {ratio_db:+g} dB over music", one.name, (mix * _quieter(mix)).astype(np.float32), one.text)


@dataclass(frozen=True)
class Talk:
    """Two who talk: float32 (n,) at 16 kHz, each one's words, and whether the turns run into each other."""

    name: str
    audio: np.ndarray
    words: tuple[tuple[str, Word], ...]
    overlapping: bool


def talks() -> Iterator[Talk]:
    """Pairs of voices that say the sentences by turns: 0.4 s apart, and each starting 0.7 s before the other ends."""
    for voices in (("en-us+m3", "en-us+f2"), ("en-us+m1", "en-us+f2"), ("en-us+m7", "en-us+f4")):
        for gap_s in (0.4, -0.7):
            yield _talk(voices, gap_s)


def _talk(voices: tuple[str, str], gap_s: float) -> Talk:
    lines = [Line(text, voices[i % 2]) for i, text in enumerate(SENTENCES)]
    track, at, words = np.zeros(60 * RATE, np.float32), 0.5, []
    for line, spoken in zip(lines, speak(lines)):
        sound = _at_16k(spoken.samples)
        track[int(at * RATE) : int(at * RATE) + len(sound)] += sound
        words += [(line.voice, Word(w.word, at + w.start_s, at + w.end_s)) for w in spoken.words]
        at += len(sound) / RATE + gap_s
    track = track[: int((at - gap_s + 0.5) * RATE)]
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(track))
    return Talk(f"{' and '.join(voices)}, {gap_s:+g} s", (track + noise).astype(np.float32), tuple(words), gap_s < 0)


def wordless() -> Iterator[tuple[str, str, np.ndarray]]:
    """(group, name, samples) of music, tones, melodies, noises, rain and silence."""
    for name in ("chaplin.mp4", "big_buck_bunny_0_30.webm", "big_buck_bunny_small.mp4"):
        yield name.split(".")[0], name, read(f"video/{name}")
    t = np.arange(5 * RATE) / RATE
    for hertz in (110, 440, 1000, 3000):
        yield "tones", f"{hertz} Hz", (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)
    scales = (music.MAJOR, music.MINOR, music.PENTATONIC)
    for seed, scale in enumerate(scales * 2):
        track, _ = music.melody(seed, 8.0, 110.0 * 2 ** (seed / 6), scale, 0.35)
        yield "melody", f"seed {seed}", _at_16k(track)
    for piece in labelled.recorded(Path(os.environ["KLEAR_MEDIA"])):
        if piece.label in {"music", "sound"}:
            yield "pieces of recorded music and sounds", piece.origin, piece.sound
    for piece in drawn_sounds.drawn():
        kind = piece.origin.rsplit(" ", 1)[0]
        group = "noise" if kind.endswith("noise") else kind if kind == "rain" else "impacts, engines, alarms, wind"
        yield group, piece.origin, piece.sound
    yield "silence", "digital", np.zeros(5 * RATE, np.float32)
    yield "silence", "dither", (1e-4 * np.random.default_rng(0).standard_normal(5 * RATE)).astype(np.float32)


def _in_a_room(spoken: Spoken, text: str) -> tuple[np.ndarray, str, tuple[Word, ...]]:
    pad = RATE // 2
    sound = np.pad(_at_16k(spoken.samples), pad)
    room = 0.002 * np.random.default_rng(0).standard_normal(len(sound))
    words = tuple(Word(w.word, w.start_s + 0.5, w.end_s + 0.5) for w in spoken.words)
    return (sound + room).astype(np.float32), text, words


def _at_16k(samples: np.ndarray) -> np.ndarray:
    return np.asarray(soxr.resample(samples, sounds.RATE, RATE), np.float32)


def _quieter(mix: np.ndarray) -> float:
    return min(1.0, 0.99 / float(np.abs(mix).max()))


@lru_cache(maxsize=1)
def corpus() -> list[Said]:
    """All speech in English with a transcript, and LibriSpeech without."""
    spoken = list(synthetic())
    mixes = [said for ratio in (10.0, 0.0) for said in over_music(spoken, ratio)]
    return [*recordings(), *spoken, *mixes]
