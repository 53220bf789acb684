"""Views as files to look at and listen to: WAV, MP4 at the view's own rate, or PNG frames where they are few."""

from pathlib import Path

import numpy as np

from media.clip import Clip
from media.views import AudioView, View, Views
from media.writer import write_mp4, write_wav

STILLS = 16
"""Views of at most so many frames are written as pictures."""


def write(views: Views, clip: Clip, folder: Path) -> list[str]:
    """Write every view into `folder`, named for it; the files' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [str(path) for view in views.arrays for path in _write(views, view, clip, folder)]


def _write(views: Views, view: View, clip: Clip, folder: Path) -> list[Path]:
    data = views[view]
    if isinstance(view, AudioView):
        path = folder / f"{view.name}.wav"
        write_wav(path, np.asarray(data), views.rates[view])
        return [path]
    frames = data if data.ndim == 4 else np.repeat(data[..., None], 3, axis=-1)
    if len(frames) <= STILLS:
        return [_picture(frame, folder / f"{view.name}-{i:02d}.png") for i, frame in enumerate(frames)]
    path = folder / f"{view.name}.mp4"
    write_mp4(path, np.ascontiguousarray(frames), view.fps or clip.fps, crf=0)
    return [path]


def _picture(frame: np.ndarray, path: Path) -> Path:
    import cv2

    cv2.imwrite(str(path), frame[..., ::-1])  # it writes BGR
    return path
