"""Sixteen real clips of 2 s with sound and a caption each, cut from the folder of real media, and their latents.

OUT/clips/originals.npz        frames uint8 (16, 49, 80, 128, 3), samples float32 (16, n), what the codecs were given
OUT/clips/codec-<variant>.npz  the same after the variant's codecs: as near as a perfect model could come
OUT/sets/<variant>/latents/    what `klear-train encode` would leave, so that the trainer reads it as it is
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save

from bench.overfit_run import Variant
from media.render import render_views
from media.views import AudioView, VideoView
from media.whole import whole_clip
from pipeline.jobs import tars
from trainer.codecs import audio_codec, video_codec
from trainer.codecs.stats import ChannelStats, save_stats
from trainer.data.encode_settings import EncodeSettings
from trainer.data.latents import INDEX, SETTINGS
from trainer.data.loudness import normalise_loudness
from trainer.data.media import FPS, RATE
from trainer.data.shards import samples as members_of
from trainer.text.minilm import MiniLM

FRAMES, WIDTH, HEIGHT = 49, 128, 80
SHARD = "shard-00000.tar"


@dataclass(frozen=True)
class Chosen:
    """A clip: file below the media folder, start in seconds, what is to be seen and to be heard in it."""

    file: str
    start_s: float
    video: str
    audio: str

    @property
    def key(self) -> str:
        """A stable id of 32 hex digits."""
        return blake2b(f"{self.file}@{self.start_s}".encode(), digest_size=16).hexdigest()


BUNNY, CHAPLIN, NASA = "video/big_buck_bunny_0_30.webm", "video/chaplin.mp4", "video/nasa_13013.mp4"

CLIPS = (
    Chosen(
        "grid/bbaf2n.mpg", 0.5, "A man with tousled dark hair before a blue wall.", "A man says: bin blue at F two."
    ),
    Chosen("grid/brbk7n.mpg", 0.3, "A young woman with long brown hair.", "A woman says: bin red by K seven now."),
    Chosen("grid/lrwp9a.mpg", 0.4, "A woman in orange light, a green wall.", "A woman says: lay red with P nine."),
    Chosen("grid/lwbsza.mpg", 0.4, "A woman with long grey curls, a blue wall.", "A woman says: lay white by S zero."),
    Chosen("grid/sbia1a.mpg", 0.4, "A dark-haired man in a black shirt.", "A man says: set blue in A one again."),
    Chosen("grid/swiz3n.mpg", 0.5, "A man with a moustache in a red shirt.", "A man says: set white in Z three now."),
    Chosen(BUNNY, 9.5, "A cartoon meadow with trees under a pink sky.", "Soft film music swells over the meadow."),
    Chosen(BUNNY, 13.0, "A brook between mossy banks, with flowers.", "Dense orchestral music, many voices at once."),
    Chosen(BUNNY, 16.2, "A purple cartoon bird sings on a branch.", "A bird whistles two long notes over music."),
    Chosen(BUNNY, 23.2, "A burrow under a mossy tree, in the morning.", "Long low tones of quiet film music."),
    Chosen(BUNNY, 26.0, "The title Big Buck Bunny in white letters.", "Quiet film music, its tones slowly change."),
    Chosen(CHAPLIN, 0.0, "A tramp hurries past a policeman, in black and white.", "A brisk old piano begins to play."),
    Chosen(CHAPLIN, 6.8, "Chaplin and a policeman stand face to face.", "Old silent film music, in the middle of it."),
    Chosen(NASA, 1.0, "A telescope in a dark hall, a red lift on the left.", "A narrator begins to speak, with music."),
    Chosen(NASA, 5.8, "A worker before bright hexagonal mirrors.", "A narrator in the middle of a long sentence."),
    Chosen(NASA, 10.3, "A golden mirror, near, and a red crane.", "A narrator ends his sentence."),
)


def prepare(media: Path, out: Path, variants: Sequence[Variant]) -> None:
    """Cut the clips, then encode them once for each variant."""
    cut = [_cut(media, chosen) for chosen in CLIPS]
    (out / "clips").mkdir(parents=True, exist_ok=True)
    keep(out / "clips" / "originals.npz", [frames for frames, _ in cut], [sound for _, sound in cut])
    texts = MiniLM().encode([text for chosen in CLIPS for text in (chosen.video, chosen.audio)])
    for variant in variants:
        raws = list(_encoded(variant.encode, cut, texts))
        _write(out / "sets" / variant.name / "latents" / "overfit", variant.encode, raws)
        decoded = [decode(variant.encode, raw["video"].float(), raw["audio"].float()) for raw in raws]
        keep(out / "clips" / f"codec-{variant.name}.npz", [d[0] for d in decoded], [d[1] for d in decoded])


def keep(path: Path, frames: Sequence[np.ndarray], sounds: Sequence[np.ndarray]) -> None:
    """Decoded clips in a file."""
    np.savez_compressed(path, frames=np.stack(frames), samples=np.stack(sounds))


def decode(encode: EncodeSettings, video: torch.Tensor, audio: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Raw latents of a clip to frames uint8 (49, 80, 128, 3) and sound float32 (n,)."""
    length = round(FRAMES * RATE / FPS)
    return video_codec(encode.video_codec).decode(video), audio_codec(encode.audio_codec).decode(audio, length)


def _cut(media: Path, chosen: Chosen) -> tuple[np.ndarray, np.ndarray]:
    """Frames and sound of a clip, as `klear-train encode` would give them to the codecs."""
    whole = whole_clip(media / chosen.file)
    start = round(Fraction(chosen.start_s) * whole.fps)
    held = -(-FRAMES * whole.fps.numerator // (FPS * whole.fps.denominator)) + 1
    clip = replace(whole, start_frame=start, frames=held)
    video = VideoView("codec", fps=FPS, box=(WIDTH, HEIGHT), fit="crop", pixels="rgb24")
    audio = AudioView("codec", rate=RATE, channels=1)
    with render_views(clip, [video, audio]) as views:
        frames, sound = np.array(views[video][:FRAMES]), np.array(views[audio][: round(FRAMES * RATE / FPS)])
    return frames, normalise_loudness(sound, EncodeSettings().lufs)[0]


def _encoded(
    encode: EncodeSettings, cut: Sequence[tuple[np.ndarray, np.ndarray]], texts: Sequence[torch.Tensor]
) -> Iterator[dict[str, torch.Tensor]]:
    """The tensors of each clip, in half precision as `klear-train encode` keeps them; no transcripts."""
    for i, (frames, sound) in enumerate(cut):
        yield {
            "video": video_codec(encode.video_codec).encode(frames).half(),
            "audio": audio_codec(encode.audio_codec).encode(sound).half(),
            "video_text": texts[2 * i].half(),
            "audio_text": texts[2 * i + 1].half(),
            "speech": torch.zeros(0, dtype=torch.uint8),
        }


def _write(folder: Path, encode: EncodeSettings, raws: Sequence[dict[str, torch.Tensor]]) -> None:
    """A finished set of latents: shard, index, statistics, settings."""
    folder.mkdir(parents=True, exist_ok=True)
    members = []
    for chosen, raw in zip(CLIPS, raws, strict=True):
        described = {"texts": {"video": chosen.video, "audio": chosen.audio}}
        members.append((f"{chosen.key}.json", json.dumps(described).encode()))
        members.append((f"{chosen.key}.latents.safetensors", save({k: t.contiguous() for k, t in raw.items()})))
    tars.repack(folder / SHARD, members)
    places = members_of(folder / SHARD)
    rows = [
        _row(chosen, raw, places[chosen.key]["latents.safetensors"]) for chosen, raw in zip(CLIPS, raws, strict=True)
    ]
    scalings = {
        "video": replace(video_codec(encode.video_codec).SCALING, power=encode.p),
        "audio": audio_codec(encode.audio_codec).SCALING,
    }
    names = {"video": encode.video_codec, "audio": encode.audio_codec}
    fitted = {m: ChannelStats.fit(names[m], scaling, [raw[m] for raw in raws]) for m, scaling in scalings.items()}
    save_stats(folder, fitted)
    (folder / SETTINGS).write_text(json.dumps(encode.model_dump(mode="json")))
    pq.write_table(pa.Table.from_pylist(rows), folder / INDEX)


def _row(chosen: Chosen, raw: dict[str, torch.Tensor], place: object) -> dict[str, object]:
    """The row of a clip in the index."""
    lengths = {name: len(raw[name]) for name in ("audio", "video_text", "audio_text", "speech")}
    known = {"key": chosen.key, "split": "train", "audio_class": "sound", "tasks": ["T2AV"], "seconds": FRAMES / FPS}
    where = {"shard": SHARD, "offset": place.offset, "size": place.size}  # type: ignore[attr-defined]
    return {**known, **lengths, "video": list(raw["video"].shape[:3]), **where}
