"""A clip as parts of an OpenAI chat message: sound as WAV or FLAC, picture as JPEG frames or one MP4, all base64."""

import base64
import io
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

Sound = Literal["wav", "flac"]


def text(words: str) -> dict[str, Any]:
    """Words."""
    return {"type": "text", "text": words}


def sound(audio: np.ndarray, rate: int, form: Sound) -> dict[str, Any]:
    """Float32 samples (n,) in [-1, 1] at `rate` Hz, as 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(audio, -1.0, 1.0), rate, format=form.upper(), subtype="PCM_16")
    return {"type": "input_audio", "input_audio": {"data": _base64(file.getvalue()), "format": form}}


def frames(pictures: np.ndarray, times_s: Sequence[float], quality: int) -> list[dict[str, Any]]:
    """RGB frames, uint8 (T, H, W, 3), each after its time in the clip, as JPEG of this quality (1..95)."""
    found = []
    for picture, time_s in zip(pictures, times_s, strict=True):
        url = f"data:image/jpeg;base64,{_base64(_jpeg(picture, quality))}"
        found += [text(f"{time_s:.1f} s:"), {"type": "image_url", "image_url": {"url": url}}]
    return found


def video(pictures: np.ndarray, fps: int) -> dict[str, Any]:
    """RGB frames, uint8 (T, H, W, 3), as one MP4 at `fps`, without sound."""
    from media.writer import write_mp4

    with tempfile.TemporaryDirectory(prefix="klear-caption-") as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(path, pictures, Fraction(fps))
        data = path.read_bytes()
    return {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{_base64(data)}"}}


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return bytes(data)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
