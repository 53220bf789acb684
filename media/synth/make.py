"""The set of synthetic files: what it holds, one function a kind, each returning files with their truth."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from media.synth import scenes, sounds
from media.synth.faces import Head, talking
from media.synth.music import MAJOR, MINOR, PENTATONIC, music_scene
from media.synth.picture import HEIGHT, WIDTH, backdrop, film
from media.synth.scenes import Scene
from media.synth.sounds import DRUM, METAL, RATE, WOOD
from media.synth.speech import Line, Spoken, speak
from media.synth.truth import Truth, Word, write_truths
from media.writer import write_mp4

FPS = 25
_SECONDS = 7.2
_LEAD_S = 0.08

_BOUNCES = (
    # name, sky, floor, ball, hertz, partials
    ("red_wood", (120, 160, 205), (150, 120, 90), (205, 45, 40), 320.0, WOOD),
    ("blue_metal", (205, 190, 160), (120, 125, 130), (40, 80, 200), 520.0, METAL),
    ("green_drum", (95, 85, 120), (90, 70, 60), (60, 185, 80), 140.0, DRUM),
    ("yellow_metal", (60, 90, 110), (55, 75, 60), (235, 200, 50), 780.0, METAL),
    ("purple_wood", (200, 205, 215), (165, 150, 120), (140, 60, 170), 440.0, WOOD),
    ("orange_drum", (150, 190, 170), (110, 95, 100), (235, 130, 40), 95.0, DRUM),
)
_TUNES = (
    ("major", (40, 45, 70), (70, 50, 80), (90, 200, 240), 131.0, MAJOR, 0.42),
    ("minor", (70, 45, 50), (45, 40, 60), (240, 120, 90), 110.0, MINOR, 0.52),
    ("pentatonic", (45, 70, 60), (60, 60, 45), (150, 230, 120), 147.0, PENTATONIC, 0.34),
    ("waltz", (90, 80, 120), (120, 100, 90), (235, 200, 110), 98.0, MAJOR, 0.46),
)
_FACES = (
    Head((224, 178, 146), (70, 45, 30), (50, 90, 150)),
    Head((190, 140, 105), (35, 28, 25), (150, 60, 70)),
    Head((240, 200, 175), (190, 140, 70), (70, 130, 90)),
    Head((130, 90, 65), (25, 22, 22), (200, 170, 80)),
)
_SPEECH = (
    Line(
        "The old lighthouse keeper counts every ship that passes the harbour and writes its name in a thick blue book"
    ),
    Line(
        "My grandmother grows tomatoes and yellow peppers on the roof of her house in the middle of the city",
        "en-us+f2",
    ),
    Line(
        "Tomorrow morning the train will leave the station ten minutes early because the bridge is under repair",
        "en-us+m7",
    ),
    Line(
        "We walked along the river until the sun went down and then we ate fresh bread with cheese and honey",
        "en-us+f4",
    ),
)
_SAID = (
    "Did you bring the camera",
    "Yes it is in the green bag",
    "Where is the green bag",
    "Behind the kitchen door",
    "And did you find the map",
    "It was on the table",
)
_DIALOGUE = tuple((Line(t, "en-us+f2", 150, 70) if i % 2 else Line(t, "en-us+m3"), i % 2) for i, t in enumerate(_SAID))
"""Turns shorter than the shortest clip, so that wherever pauses are cut at, both voices are in every clip."""
_OVER_MUSIC = Line(
    "Welcome to the evening concert where young players from many countries perform their favourite songs"
)


def make_set(folder: Path, spoken: bool = False) -> list[Truth]:
    """Write the whole set into `folder` (about 30 files, 10 CPU-seconds) with `truth.json` and `metadata.tsv`.

    spoken: only the files in which somebody speaks (7).
    Same code, same bytes. Raises BackendAbsent when espeakng-loader, a development dependency, is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = speak([*_SPEECH, *(line for line, _ in _DIALOGUE), _OVER_MUSIC])
    kinds = [_spoken(said)] if spoken else [_moving(), _musical(), _spoken(said), _flawed()]
    truths = [truth for made in kinds for truth in _write(folder, made)]
    if not spoken:
        truths += _damaged(folder)
    write_truths(folder, truths)
    return truths


def _write(folder: Path, made: Iterator[tuple[Truth, Scene]]) -> Iterator[Truth]:
    """Write each scene under the name that its truth gives, and fill in what the scene knows."""
    for truth, scene in made:
        sound = scene.sound if truth.kind == "clipped" else _with_headroom(scene.sound)
        write_mp4(folder / truth.file, scene.frames, scene.fps, sound, RATE, crf=23)
        seconds = len(scene.frames) / scene.fps
        events = truth.events_s or tuple(round(t, 6) for t in scene.events_s)
        rate = str(scene.fps)
        yield replace(truth, duration_s=seconds, events_s=events, width=WIDTH, height=HEIGHT, fps=rate)


def _with_headroom(sound: np.ndarray) -> np.ndarray:
    """The sound with its peak at 0.7 or below, so that only the clipped file is clipped."""
    return sound * np.float32(min(1.0, 0.7 / max(1e-6, float(np.abs(sound).max()))))


def _moving() -> Iterator[tuple[Truth, Scene]]:
    for name, offset in (("sync_0", 0.0), ("sync_p200", 0.2), ("sync_m200", -0.2)):
        scene = scenes.flash_beep(backdrop(11, (60, 70, 90), (80, 70, 60)), 5, 8.0, FPS, offset)
        yield _event(name, "flash_beep", f"a lamp flashes and a beep sounds {offset:+.2f} s from it", offset), scene
    for seed, (name, sky, floor, ball, hertz, partials) in enumerate(_BOUNCES, 20):
        scene = scenes.bounce(backdrop(seed, sky, floor), seed, _SECONDS, FPS, ball, hertz, partials)
        yield _event(f"bounce_{name}", "bounce", f"a {name.partition('_')[0]} ball bounces on a tiled floor"), scene
    for seed, (hertz, ball) in enumerate(((660.0, (190, 60, 60)), (392.0, (60, 110, 190))), 40):
        scene = scenes.pendulum(backdrop(seed, (170, 185, 190), (120, 100, 85)), seed, _SECONDS, FPS, ball, hertz)
        yield _event(f"pendulum_{seed - 39}", "pendulum", "a pendulum strikes two bells in turn"), scene
    for seed, (hertz, wheel) in enumerate(((70.0, (200, 150, 60)), (110.0, (80, 160, 170))), 50):
        scene = scenes.engine(backdrop(seed, (185, 195, 205), (130, 125, 110)), seed, _SECONDS, FPS, wheel, hertz)
        yield _event(f"engine_{seed - 49}", "engine", "a wheel rolls with a buzz that rises with its speed"), scene


def _event(name: str, kind: str, content: str, offset: float = 0.0) -> Truth:
    return Truth(f"{name}.mp4", kind, audio_class="sound", av_offset_s=offset, content=content)


def _musical() -> Iterator[tuple[Truth, Scene]]:
    for seed, (name, sky, floor, bars, root, scale, beat) in enumerate(_TUNES, 60):
        scene = music_scene(backdrop(seed, sky, floor), seed, _SECONDS, FPS, bars, root, scale, beat)
        content = f"bars of an equaliser follow a {name} melody"
        yield Truth(f"music_{name}.mp4", "music", audio_class="music", av_offset_s=0.0, content=content), scene


def _spoken(said: list[Spoken]) -> Iterator[tuple[Truth, Scene]]:
    for number, (line, head, spoken) in enumerate(zip(_SPEECH, _FACES, said)):
        voice, words = _track([(spoken, "A")])
        scene = talking(_room(number), [head], [voice], FPS, _heard(voice))
        yield _speech(f"speech_{number + 1}", "speech", [line], words, "a drawn face speaks one sentence"), scene
    turns = said[len(_SPEECH) : -1]
    for number, pair in enumerate(((0, 1), (2, 3))):
        order = [who for _, who in _DIALOGUE]
        whole, words = _track([(spoken, "AB"[who]) for spoken, who in zip(turns, order)])
        voices = [_of(whole, words, speaker) for speaker in "AB"]
        heads = [replace(_FACES[i], x=x, size=0.85) for i, x in zip(pair, (0.27, 0.73))]
        scene = talking(_room(7 + number), heads, voices, FPS, _heard(whole))
        lines = [line for line, _ in _DIALOGUE]
        yield _speech(f"dialogue_{number + 1}", "dialogue", lines, words, "two drawn faces talk in turn", 2), scene
    yield _over_music(said[-1])


def _room(seed: int) -> "scenes.Backdrop":
    return backdrop(80 + seed, (150 + 10 * (seed % 4), 170, 185), (110, 120 - 8 * (seed % 5), 120))


def _heard(voice: np.ndarray) -> np.ndarray:
    """A voice in a room: a little noise 46 dB below it, so that pauses are not digital silence."""
    return (voice + 0.005 * sounds.noise(len(voice) / RATE, np.random.default_rng(3), 1.0)).astype(np.float32)


def _speech(name: str, kind: str, lines: list[Line], words: tuple[Word, ...], content: str, speakers: int = 1) -> Truth:
    text = " ".join(line.text for line in lines).lower()
    heard = "single_speech" if speakers == 1 else "multi_speech"
    return Truth(
        f"{name}.mp4",
        kind,
        audio_class=heard,
        av_offset_s=0.0,
        transcript=text,
        words=words,
        speakers=speakers,
        content=content,
    )


def _track(said: list[tuple[Spoken, str]]) -> tuple[np.ndarray, tuple[Word, ...]]:
    """Lines one after the other, 0.12 s apart, in a track of a whole number of frames; words on the track's clock."""
    starts, at = [], _LEAD_S
    for spoken, _ in said:
        starts.append(at)
        at += len(spoken.samples) / RATE + 0.12
    track = sounds.silence(np.ceil(at * FPS) / FPS)
    words: list[Word] = []
    for (spoken, speaker), start in zip(said, starts):
        sounds.place(track, spoken.samples, start)
        words += [Word(w.word, round(start + w.start_s, 4), round(start + w.end_s, 4), speaker) for w in spoken.words]
    return track, tuple(words)


def _of(track: np.ndarray, words: tuple[Word, ...], speaker: str) -> np.ndarray:
    """The track with only one speaker's words left in it."""
    alone = np.zeros_like(track)
    for word in words:
        if word.speaker == speaker:
            span = slice(round(word.start_s * RATE), round(word.end_s * RATE))
            alone[span] = track[span]
    return alone


def _over_music(spoken: Spoken) -> tuple[Truth, Scene]:
    voice, words = _track([(spoken, "A")])
    tune = music_scene(
        backdrop(70, (50, 50, 70), (60, 50, 60)), 70, len(voice) / RATE, FPS, (90, 90, 90), 131.0, MAJOR, 0.4
    )
    ratio_db = 10.0
    music = tune.sound[: len(voice)] * sounds.rms(voice) / sounds.rms(tune.sound) / 10 ** (ratio_db / 20)
    scene = talking(_room(12), [_FACES[2]], [voice], FPS, (voice + music).astype(np.float32))
    truth = _speech("speech_over_music", "speech_over_music", [_OVER_MUSIC], words, "a drawn face speaks over music")
    return replace(truth, speech_over_music_db=ratio_db), scene


def _flawed() -> Iterator[tuple[Truth, Scene]]:
    name, sky, floor, ball, hertz, partials = _BOUNCES[0]
    bouncing = scenes.bounce(backdrop(90, sky, floor), 90, 6.0, FPS, ball, hertz, partials)
    silent = replace(bouncing, sound=np.zeros_like(bouncing.sound))
    yield Truth("silent.mp4", "silent", content=f"a {name} ball bounces without a sound"), silent
    tune = music_scene(backdrop(91, (60, 60, 80), (80, 70, 60)), 91, 6.0, FPS, (240, 180, 90), 123.0, MINOR, 0.4)
    loud = np.clip(tune.sound * 10 ** (24 / 20), -1, 1).astype(np.float32)
    yield (
        Truth("clipped.mp4", "clipped", audio_class="music", content="a melody 24 dB too loud"),
        replace(tune, sound=loud),
    )
    still = backdrop(92, (140, 170, 200), (110, 130, 90)).at(0.0)
    rain = sounds.noise(6.0, np.random.default_rng(92), 0.6)
    picture = Scene(film(6.0, FPS, lambda t: still), FPS, rain)
    yield Truth("static.mp4", "static", audio_class="sound", content="a still picture with the hiss of rain"), picture
    yield _known_cuts()


def _known_cuts() -> tuple[Truth, Scene]:
    """Three scenes of 3 s one after the other, each unlike the others, cut at frames 75 and 150."""
    parts = []
    for seed, (_, sky, floor, ball, hertz, partials) in enumerate((_BOUNCES[1], _BOUNCES[3], _BOUNCES[5]), 95):
        parts.append(scenes.bounce(backdrop(seed, sky, floor), seed, 3.0, FPS, ball, hertz, partials))
    events = tuple(t + 3.0 * i for i, part in enumerate(parts) for t in part.events_s)
    frames, sound = np.concatenate([p.frames for p in parts]), np.concatenate([p.sound for p in parts])
    truth = Truth(
        "cuts.mp4", "cuts", audio_class="sound", av_offset_s=0.0, cuts=(75, 150), content="three shots of 3 s"
    )
    return truth, Scene(frames, FPS, sound, events)


def _damaged(folder: Path) -> Iterator[Truth]:
    """Files that are not what they should be, made from good ones."""
    whole = (folder / "bounce_red_wood.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    yield Truth("truncated.mp4", "truncated", "quarantined", "media:truncated", content="60% of the bytes of a video")
    other = scenes.bounce(backdrop(99, (180, 150, 150), (90, 100, 120)), 99, 6.0, FPS, (30, 160, 160), 610.0, METAL)
    named = Truth("misnamed.txt", "wrong_extension", audio_class="sound", av_offset_s=0.0, content="a video named .txt")
    yield from _write(folder, iter([(named, other)]))
    (folder / "empty.mp4").write_bytes(b"")
    yield Truth("empty.mp4", "empty", "quarantined", "media:empty", content="no bytes at all")
    (folder / "notes.txt").write_text("Bring bread, cheese and honey to the river.\n")
    yield Truth("notes.txt", "text", "ineligible", "media:not_media", content="a line of text")
    write_mp4(folder / "mute.mp4", other.frames[: 2 * FPS], FPS, None, crf=23)
    yield Truth("mute.mp4", "no_audio", "ineligible", "media:no_audio", content="a video without an audio track")
