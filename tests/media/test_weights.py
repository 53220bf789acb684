"""Packaged weights are found, named, and refused when their bytes are not the pinned ones."""

from dataclasses import replace

import pytest

from filters.audio import silero
from manifests.errors import BackendAbsent
from media.weights import digest_of


def test_identity_names_version_and_hash() -> None:
    identity = silero.MODEL.identify()
    assert identity == f"silero-vad==6.2.3/data/silero_vad.onnx {silero.MODEL.sha256}"
    assert digest_of(silero.MODEL) == digest_of(silero.MODEL) != digest_of(silero.MODEL, silero.MODEL)


def test_changed_bytes_are_refused() -> None:
    with pytest.raises(BackendAbsent, match="measure again") as caught:
        replace(silero.MODEL, sha256="0" * 64).identify()
    assert caught.value.code == "backend:weights_changed"


@pytest.mark.parametrize(
    ("change", "code"),
    [({"package": "no_such_package"}, "backend:package"), ({"path": "data/none.onnx"}, "backend:weights")],
)
def test_absent_files_say_what_to_install(change: dict, code: str) -> None:
    with pytest.raises(BackendAbsent, match="pip install --no-deps silero-vad==6.2.3") as caught:
        replace(silero.MODEL, **change).locate()
    assert caught.value.code == code
