"""How pleasing the pictures are, by two published predictors of people's ratings, on a scale of about 1 to 10.

`laion_v2`: LAION's improved aesthetic predictor (christophschuhmann, Apache-2.0) over CLIP ViT-L/14 (MIT). Movie Gen
keeps 4.0 and more, Open-Sora 1.2 more than 4.5. `v2_5`: aesthetic-predictor-v2.5 (discus0434, AGPL-3.0) over SigLIP
so400m-patch14-384 (Apache-2.0); a part of the AS of Klear's tables. Both are chains of linear layers without anything
between them, over the picture's embedding at unit length.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from manifests.errors import ConfigError
from media import device
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import FRAMES, View, Views
from media.weights_at import Folder, Published


class Predictor(NamedTuple):
    """head: the file of the linear layers. encoder: what embeds the pictures."""

    head: Published
    encoder: Folder


_NAME = "video.aesthetic"
PREDICTORS = {
    "laion_v2": Predictor(
        Published(
            _NAME,
            "aesthetic",
            "sac+logos+ava1-l14-linearMSE.pth",
            "https://github.com/christophschuhmann/improved-aesthetic-predictor",
            "Apache-2.0",
        ),
        Folder(_NAME, "clip", "openai/clip-vit-large-patch14 (MIT)"),
    ),
    "v2_5": Predictor(
        Published(
            _NAME,
            "aesthetic",
            "aesthetic_predictor_v2_5.pth",
            "https://github.com/discus0434/aesthetic-predictor-v2-5/raw/main/models/aesthetic_predictor_v2_5.pth",
            "AGPL-3.0",
        ),
        Folder(_NAME, "siglip", "google/siglip-so400m-patch14-384 (Apache-2.0)"),
    ),
}


def _licence(predictor: Predictor) -> str:
    return f"{predictor.head.licence} (head), {predictor.encoder.model}"


LICENCE = _licence(PREDICTORS["laion_v2"])


class Aesthetic:
    """`aesthetic`: mean, `aesthetic_least`: least score over up to 8 frames, about 1 to 10.

    predictor: laion_v2 or v2_5. weights: path of its head; default: below $KLEAR_WEIGHTS/aesthetic/. encoder: folder of
    its encoder; default: `clip/` or `siglip/` below $KLEAR_WEIGHTS. precision: float32, bfloat16 or float16. on:
    "auto", "cpu", "cuda". A clip costs 11 CPU-s with laion_v2, whatever its length.
    """

    NAME = _NAME
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"aesthetic": pa.float64(), "aesthetic_least": pa.float64()}
    RANGES: ClassVar[Mapping[str, Bounds]] = {}
    VIEWS: tuple[View, ...] = (FRAMES,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "aesthetic predictor laion_v2"
    LICENCE = LICENCE
    COST = 1.1

    def __init__(
        self,
        predictor: Literal["laion_v2", "v2_5"] = "laion_v2",
        weights: str | None = None,
        encoder: str | None = None,
        precision: str = "float32",
        on: str = "auto",
    ) -> None:
        if predictor not in PREDICTORS:
            raise ConfigError("config:backend", f"{_NAME}: predictor = {predictor!r}; there are {list(PREDICTORS)}")
        self.predictor, self.weights, self.encoder = PREDICTORS[predictor], weights, encoder
        self.precision, self.on = precision, on
        self.BACKEND = f"aesthetic predictor {predictor}"
        self.LICENCE = _licence(self.predictor)
        self._model: Any = None

    def digest(self) -> str:
        """Of both files. Raises BackendAbsent when one is not there, ConfigError model:state for another head."""
        head = self.predictor.head.digest(self.weights)
        _layers(self.predictor.head.path(self.weights))
        return f"{head}-{self.predictor.encoder.digest(self.encoder)}"

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its frames (T, H, W, 3) uint8 RGB."""
        frames = views[FRAMES]
        if not len(frames):
            return {}
        with device.computing():
            self._model = self._model or self._open()
            found = self._scores(frames)
        return {"aesthetic": float(found.mean()), "aesthetic_least": float(found.min())}

    def _open(self) -> Any:
        from transformers import AutoImageProcessor, AutoModel

        dtype, on = device.dtype_of(self.precision), device.device_of(self.on)
        folder = self.predictor.encoder.path(self.encoder)
        encoder = AutoModel.from_pretrained(folder, local_files_only=True, dtype=dtype).eval().to(on)
        layers = [(w.to(on).float(), b.to(on).float()) for w, b in _layers(self.predictor.head.path(self.weights))]
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True), encoder, layers

    def _scores(self, frames: np.ndarray) -> np.ndarray:
        """(T,) float64."""
        import torch
        from torch.nn import functional as F

        front, encoder, layers = self._model
        pixels = front(images=list(frames), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            found = encoder.get_image_features(pixel_values=pixels.to(encoder.device, encoder.dtype))
            score = F.normalize(getattr(found, "pooler_output", found).float(), dim=-1)
            for weight, bias in layers:
                score = F.linear(score, weight, bias)
        return np.asarray(score[:, 0].double().cpu().numpy())


def _layers(path: Path) -> list[tuple[Any, Any]]:
    """Weights and biases of the linear layers in a head's file, in order. Raises ConfigError model:state."""
    from filters import checkpoint

    state = checkpoint.read(path)
    numbers = sorted({int(name.split(".")[-2]) for name in state if name.split(".")[-2].isdigit()})
    stem = next(iter(state), "").split(".")[0]
    try:
        found = [(state[f"{stem}.{n}.weight"], state[f"{stem}.{n}.bias"]) for n in numbers]
    except KeyError as error:
        raise ConfigError("model:state", f"{path} is no head of an aesthetic predictor: it has no {error}") from None
    fit = all(a.shape[0] == b.shape[1] for (a, _), (b, _) in pairwise(found))
    if not found or not fit or found[-1][0].shape[0] != 1:
        shapes = [tuple(weight.shape) for weight, _ in found]
        raise ConfigError("model:state", f"{path} is no head of an aesthetic predictor: layers of {shapes}")
    return found


STAGE = Aesthetic
