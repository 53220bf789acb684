"""The self-check holds the floor of every measure, says when one breaks, and leaves a page and a JSON."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from manifests.errors import ConfigError
from pipeline.cli import app
from pipeline.jobs import selfcheck
from pipeline.selfcheck.finding import Finding, detection, errors


@pytest.mark.parametrize("parts", [("sound", "picture")])
def test_the_quick_parts_hold(tmp_path: Path, parts: tuple[str, ...]) -> None:
    result = selfcheck.run(tmp_path, None, parts)
    assert result["broken"] == []
    measured = {row["measure"] for row in result["findings"]}
    assert {"audio.loudness.lufs", "audio.fidelity.snr_db", "video.motion.camera_px"} <= measured
    assert {"audio.silence.vad_silence_ratio", "audio.fidelity.dropout_ratio", "audio.fidelity.fake_stereo"} <= measured
    page = (tmp_path / "selfcheck.html").read_text()
    assert "Every floor holds" in page and page.count("<svg") >= 6
    assert json.loads((tmp_path / "selfcheck.json").read_text())["findings"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_parts_hold(tmp_path: Path) -> None:
    media = Path(os.environ["KLEAR_MEDIA"]) if os.environ.get("KLEAR_MEDIA") else None
    result = selfcheck.run(tmp_path, media)
    assert result["broken"] == []


def test_a_broken_floor_is_said_and_ends_with_1(tmp_path: Path, monkeypatch) -> None:
    worse = Finding(
        "audio.x.y", "noise", 3, {"95% dB": 7.25, "answered": None}, {"95% dB": (None, 4.0), "answered": (0.5, None)}
    )
    monkeypatch.setattr("pipeline.selfcheck.sound.check", lambda: iter([worse]))
    done = CliRunner().invoke(app, ["selfcheck", "--out", str(tmp_path), "--only", "sound"])
    assert done.exit_code == 1
    assert worse.broken() == [
        "audio.x.y, noise: 95% dB is 7.25, must be at most 4",
        "audio.x.y, noise: answered is nothing, must be at least 0.5",
    ]
    assert "2 of the floors below do not hold" in (tmp_path / "selfcheck.html").read_text()


def test_figures() -> None:
    assert errors([(1.0, 1.5), (2.0, 1.0)], "s") == {"median s": 0.75, "95% s": 0.975, "bias s": -0.25}
    assert errors([], "s")["median s"] is None
    assert detection([True, True, False], [True, False, True]) == {"precision": 0.5, "recall": 0.5}
    assert detection([False], [False]) == {"precision": None, "recall": None}


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no part 'sonud'; there are sound"):
        selfcheck.run(tmp_path, None, ["sonud"])
