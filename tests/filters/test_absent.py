"""Backends without weights say so, and never answer with a number."""

from pathlib import Path

import pytest

from filters.audio.aesthetics import STAGE as AESTHETICS
from filters.semantic.imagebind import STAGE as IMAGEBIND
from filters.sync.synchformer import STAGE as SYNCHFORMER
from filters.sync.syncnet import STAGE as SYNCNET
from manifests.errors import BackendAbsent, ConfigError

CASES = [
    (SYNCHFORMER, "24-01-04T16-39-21.pt", "MIT"),
    (IMAGEBIND, "imagebind_huge.pth", "non-commercial"),
    (AESTHETICS, "checkpoint.pt", "CC-BY 4.0"),
    (SYNCNET, "syncnet_v2.model", "no licence of their own"),
]


@pytest.mark.parametrize(("stage", "checkpoint", "licence"), CASES)
def test_message_says_what_where_and_under_which_licence(
    stage: type, checkpoint: str, licence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLEAR_WEIGHTS", str(tmp_path))
    with pytest.raises(BackendAbsent) as caught:
        stage().digest()
    assert caught.value.code == "backend:weights"
    for part in (checkpoint, str(tmp_path), licence, stage.NAME):
        assert part in caught.value.message


@pytest.mark.parametrize(("stage", "checkpoint", "licence"), CASES)
def test_a_file_of_that_name_does_not_make_a_score(stage: type, checkpoint: str, licence: str, tmp_path: Path) -> None:
    path = tmp_path / checkpoint
    path.write_bytes(b"weights")
    with pytest.raises(ConfigError) as caught:
        stage(weights=str(path)).digest()
    assert caught.value.code == "model:checkpoint" and checkpoint in caught.value.message
