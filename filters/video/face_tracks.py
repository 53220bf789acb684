"""Faces followed through a clip: found on every tenth frame, carried from frame to frame by the landmarks between.

A detection counts when the landmark model, which has seen many things that look like faces to the detector, agrees
that it is one. It is followed forwards, and backwards to where it was not yet looked for. A face turned to its profile
is not followed: it ends there, and goes on when it turns back at the same place within a second.
"""

from dataclasses import dataclass, field

import numpy as np

from filters.video import face_detector, face_mesh
from filters.video.face_detector import Face

STEP = 10
"""Frames from one look for faces to the next: 0.4 s at 25 fps."""
IS_FACE = 0.5
GAP = 25
"""Frames that a face may be away, or unconfirmed by the detector, and still be the same."""
SAME = 0.5
"""Boxes of which the smaller lies by more than this in the larger are of one face."""
LEAST_PX = 18.0
"""Width of the narrowest face: below it the landmark model sees faces of any size in one place."""
MOST = 8
"""Faces followed at once: the work is bounded, and nobody is told apart in a crowd."""
LEAST_FRAMES = 5


@dataclass(eq=False)
class Track:
    """One face: of each frame it was seen on, its box (4,), the gap of its lips and the distance of its eyes, px."""

    boxes: dict[int, np.ndarray] = field(default_factory=dict)
    gaps: dict[int, float] = field(default_factory=dict)
    eyes: dict[int, float] = field(default_factory=dict)
    square: face_mesh.Square | None = None
    confirmed: int = 0

    @property
    def last(self) -> int:
        """The last frame it was seen on."""
        return max(self.boxes)

    @property
    def first(self) -> int:
        """The first frame it was seen on."""
        return min(self.boxes)

    def seen(self, frame: int, mesh: np.ndarray) -> None:
        """Keep what is needed of a mesh (468, 3)."""
        self.boxes[frame] = face_mesh.box_of(mesh)
        self.gaps[frame], self.eyes[frame] = face_mesh.lip_gap(mesh), face_mesh.eye_distance(mesh)
        self.square = face_mesh.square_of(mesh)


def follow(frames: np.ndarray, least: float = 0.5) -> list[Track]:
    """Tracks of (T, H, W, 3) uint8 RGB frames at 25 fps, in order of appearance. least: score of a detection."""
    tracks: list[Track] = []
    live: list[Track] = []
    for i, frame in enumerate(frames):
        live = [track for track in live if _carry(track, i, frame)]
        if i % STEP == 0 or i == len(frames) - 1:
            for face in face_detector.detect(frame, least):
                _confirm(face, i, frames, tracks, live)
            live = [track for track in live if i - track.confirmed < GAP and not _doubled(track, live)]
    return sorted((track for track in tracks if _counts(track, len(frames))), key=lambda track: track.first)


def _carry(track: Track, i: int, frame: np.ndarray) -> bool:
    """Look for a face where it was a frame ago; is it still there?"""
    assert track.square is not None
    mesh, chance = face_mesh.mesh_in(frame, track.square)
    if chance < IS_FACE or not _sane(mesh, frame.shape):
        return False
    track.seen(i, mesh)
    return True


def _confirm(face: Face, i: int, frames: np.ndarray, tracks: list[Track], live: list[Track]) -> None:
    """What a detection means: a live track goes on, an ended one comes back, or a new one begins."""
    mine = _matching(face.box, [track for track in live if track.last == i])
    if mine is not None:
        mine.confirmed = i
        return
    mesh = _mesh_of(frames[i], face)
    if mesh is None or len(live) >= MOST or _matching(face_mesh.box_of(mesh), live) is not None:
        return
    away = [track for track in tracks if track not in live and i - track.last <= GAP]
    back = _matching(face_mesh.box_of(mesh), away)
    track = back if back is not None else Track()
    since = track.last if back is not None else i - STEP
    _backwards(track, i, frames, max(since + 1, i - STEP + 1, 0), mesh)
    track.confirmed = i
    live.append(track)
    if back is None:
        tracks.append(track)


def _backwards(track: Track, i: int, frames: np.ndarray, until: int, mesh: np.ndarray) -> None:
    """Follow a face from frame `i`, where it has this mesh, back to frame `until`."""
    track.seen(i, mesh)
    here = track.square
    for k in range(i - 1, until - 1, -1):
        if not _carry(track, k, frames[k]):
            break
    track.square = here


def _mesh_of(frame: np.ndarray, face: Face) -> np.ndarray | None:
    """The mesh of a detection, looked at twice, the second time where the first says; None when it is no face."""
    first = face_mesh.square_around(face.box.reshape(2, 2), face.points[0], face.points[1])
    mesh, _ = face_mesh.mesh_in(frame, first)
    if not _sane(mesh, frame.shape):
        return None
    mesh, chance = face_mesh.mesh_in(frame, face_mesh.square_of(mesh))
    return mesh if chance >= IS_FACE and _sane(mesh, frame.shape) else None


def _sane(mesh: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Is the middle of the face in the picture, and its size one that a face can have there?"""
    height, width = shape[:2]
    x, y = (face_mesh.box_of(mesh)[:2] + face_mesh.box_of(mesh)[2:]) / 2
    return bool(0 <= x <= width and 0 <= y <= height and LEAST_PX <= np.ptp(mesh[:, 0]) <= 2 * max(width, height))


def _matching(box: np.ndarray, tracks: list[Track]) -> Track | None:
    if not tracks:
        return None
    common = shared(box, np.array([track.boxes[track.last] for track in tracks]))
    return tracks[int(common.argmax())] if common.max() > SAME else None


def shared(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How much of the smaller lies in the larger: of a box (4,) and each of boxes (n, 4), shape (n,) in [0, 1]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    smaller = np.minimum((box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(1))
    return np.asarray(np.clip(sides, 0, None).prod(1) / np.maximum(smaller, 1e-9))


def _doubled(track: Track, live: list[Track]) -> bool:
    """Has an older track slid onto the same face?"""
    older = live[: next(k for k, other in enumerate(live) if other is track)]
    return _matching(track.boxes[track.last], older) is not None


def _counts(track: Track, frames: int) -> bool:
    return len(track.boxes) >= min(LEAST_FRAMES, frames)
