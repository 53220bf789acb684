"""Still pictures for the players: what a clip shows before it plays. Only for files that klear has encoded itself."""

import io
from itertools import islice
from operator import methodcaller

from manifests import files
from manifests.files import AnyPath

WIDTH = 480
QUALITY = 80


def poster(video: AnyPath) -> AnyPath:
    """Write the middle frame beside the video as a JPEG of at most WIDTH pixels across, once; its path."""
    target = video.with_suffix(".jpg")
    if not files.exists(target):
        import av
        import cv2

        with av.open(io.BytesIO(files.read(video)), "r") as container:
            stream = container.streams.video[0]
            middle = stream.frames // 2
            frame = next(islice(container.decode(stream), middle, None)).to_ndarray(format="bgr24")
        scale = min(1.0, WIDTH / frame.shape[1])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        files.replace(target, methodcaller("write", data.tobytes()))
    return target
