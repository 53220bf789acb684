"""Does the sound belong to the picture, by models that may be used commercially: CLAP hears, CLIP sees.

The two have no space in common, so both are asked about the same words: AudioSet's 521 class names. CLAP (Wu 2023) says
how much the sound is each of them, CLIP (Radford 2021) how much the picture is; `agreement` is the Bhattacharyya
coefficient of the two distributions. The method is ours and its scale is its own: no published threshold applies, so
take one from `klear policy calibrate`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.audio.yamnet import labels
from media import device
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import FRAMES, AudioView, View, Views
from media.weights_at import Folder

RATE = 48_000
AUDIO_48K = AudioView("audio_48k", rate=RATE, channels=1)
WINDOW = 10 * RATE
"""What CLAP's front end takes at a time; a longer piece would be cut at a place drawn by chance."""
HEARD, SEEN = "This is a sound of {}.", "a photo of {}."
FOLDERS = {
    "clap": Folder("semantic.clap_clip", "clap", "laion/clap-htsat-unfused (Apache-2.0)"),
    "clip": Folder("semantic.clap_clip", "clip", "openai/clip-vit-large-patch14 (MIT)"),
}


class ClapClip:
    """`agreement` of what is heard with what is seen, in [0, 1]; NULL for a clip without a second of sound.

    clap, clip: folders as transformers writes them (config, weights, tokenizer, preprocessor); default: `clap/` and
    `clip/` below $KLEAR_WEIGHTS. precision: float32, bfloat16 or float16. on: "auto", "cpu", "cuda".
    """

    NAME = "semantic.clap_clip"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"agreement": pa.float64()}
    RANGES: ClassVar[Mapping[str, Bounds]] = {"agreement": (0, 1.0001)}
    VIEWS: tuple[View, ...] = (AUDIO_48K, FRAMES)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "CLAP + CLIP, by AudioSet's class names"
    LICENCE = "Apache-2.0 (laion/clap-htsat-unfused), MIT (openai/clip)"
    COST = 0.5

    def __init__(
        self, clap: str | None = None, clip: str | None = None, precision: str = "float32", on: str = "auto"
    ) -> None:
        self.given = {"clap": clap, "clip": clip}
        self.precision, self.on = precision, on
        self._models: Any = None

    def digest(self) -> str:
        """Of the weights of both. Raises BackendAbsent when a folder is not there."""
        return "-".join(folder.digest(self.given[name]) for name, folder in FOLDERS.items())

    def _opened(self) -> Any:
        clap, clip = (folder.path(self.given[name]) for name, folder in FOLDERS.items())
        return _open(clap, clip, self.precision, self.on)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 48 kHz audio and its frames."""
        sound = views[AUDIO_48K]
        if len(sound) < RATE or len(views[FRAMES]) == 0:
            return {}
        with device.computing():
            self._models = self._models or self._opened()
            heard, seen = self._models
            return {"agreement": float(np.sum(np.sqrt(heard.shares(sound) * seen.shares(views[FRAMES]))))}


class _Side:
    """One model, and how it embeds the words. shares: (labels,) float64, adding up to 1, the mean over its inputs."""

    def __init__(self, model: Any, words: Any, scale: float) -> None:
        self.model, self.words, self.scale = model, words, scale

    def _share(self, embedded: Any) -> np.ndarray:
        import torch

        unit = torch.nn.functional.normalize(embedded.float(), dim=-1)
        found: np.ndarray = torch.softmax(self.scale * unit @ self.words.T, dim=-1).double().mean(0).cpu().numpy()
        return found


class _Heard(_Side):
    def __init__(self, model: Any, words: Any, scale: float, front: Any) -> None:
        super().__init__(model, words, scale)
        self.front = front

    def shares(self, sound: np.ndarray) -> np.ndarray:
        """sound: (n,) at 48 kHz, in windows of 10 s of equal length."""
        import torch

        pieces = np.array_split(sound, -(-len(sound) // WINDOW))
        inputs = self.front(list(pieces), sampling_rate=RATE, return_tensors="pt")["input_features"]
        like = next(self.model.parameters())
        with torch.inference_mode():
            return self._share(_tensor(self.model.get_audio_features(input_features=inputs.to(like))))


class _Seen(_Side):
    def __init__(self, model: Any, words: Any, scale: float, front: Any) -> None:
        super().__init__(model, words, scale)
        self.front = front

    def shares(self, frames: np.ndarray) -> np.ndarray:
        """frames: (t, H, W, 3) uint8."""
        import torch

        inputs = self.front(images=list(frames), return_tensors="pt")["pixel_values"]
        like = next(self.model.parameters())
        with torch.inference_mode():
            return self._share(_tensor(self.model.get_image_features(pixel_values=inputs.to(like))))


def _tensor(found: Any) -> Any:
    """Of what transformers answers with: newer versions wrap the embedding."""
    return getattr(found, "pooler_output", found)


def _open(clap: Path, clip: Path, precision: str, on: str) -> tuple[_Heard, _Seen]:
    import torch
    from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, ClapModel, CLIPModel

    def words(folder: Path, model: Any, template: str) -> Any:
        tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        texts = [template.format(label.lower()) for label in labels()]
        given = tokens(texts, padding=True, truncation=True, return_tensors="pt").to(next(model.parameters()).device)
        with torch.inference_mode():
            found = _tensor(model.get_text_features(input_ids=given.input_ids, attention_mask=given.attention_mask))
        return torch.nn.functional.normalize(found.float(), dim=-1)

    def model(kind: Any, folder: Path) -> Any:
        made = kind.from_pretrained(folder, local_files_only=True, dtype=device.dtype_of(precision))
        return made.eval().to(device.device_of(on))

    hears, sees = model(ClapModel, clap), model(CLIPModel, clip)
    heard = _Heard(
        hears,
        words(clap, hears, HEARD),
        float(hears.logit_scale_a.detach().exp()),
        AutoFeatureExtractor.from_pretrained(clap, local_files_only=True),
    )
    seen = _Seen(
        sees,
        words(clip, sees, SEEN),
        float(sees.logit_scale.detach().exp()),
        AutoImageProcessor.from_pretrained(clip, local_files_only=True),
    )
    return heard, seen


STAGE = ClapClip
