"""The self-check holds the floor of every measure, says when one breaks, and leaves a page and a JSON."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from filters.audio import known_mixes
from manifests.errors import ConfigError
from pipeline.cli import app
from pipeline.jobs import selfcheck
from pipeline.selfcheck import drawn, offsets, shots, through
from pipeline.selfcheck.finding import Finding, detection, errors

IN_CI = ("sound", "picture", "edited", "marks", "offsets", "faces", "shots", "speakers")
EVERY = 4
"""Of the offsets and of the films with cuts: five, of all three rates, and one."""


class Kept:
    """Answers of a part's measures, by measure; then, instead of any answer, one of those that were kept."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[Any]] = defaultdict(list)
        self.constant: float | None = None
        for owner, name in ((through, "on"), (offsets, "_of"), (shots, "_run"), (known_mixes, "snr")):
            patch.setattr(owner, name, self.kept(name, getattr(owner, name)))
        patch.setattr(drawn, "measured", self.drawn(drawn.measured))

    def kept(self, name: str, measure: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*given: Any, **named: Any) -> Any:
            own = self.answers[given[0] if isinstance(given[0], str) else name]
            if self.constant is not None:
                return own[int(self.constant * (len(own) - 1))]
            own.append(measure(*given, **named))
            return own[-1]

        return answer

    def drawn(self, measured: Callable[..., Any]) -> Callable[..., Any]:
        """The set is made once: truths with their facts, or each with the facts of one of them."""

        def answer(*given: Any, **named: Any) -> Any:
            if self.constant is None:
                self.answers["drawn"] = measured(*given, **named)
            own = self.answers["drawn"]
            same = None if self.constant is None else own[int(self.constant * (len(own) - 1))][1]
            return [(truth, same or facts) for truth, facts in own]

        return answer


ONCE = "audio.voices.turns"
"""Asked of one recording only: an answer that never changes is then the right one."""
NAMED = {
    "sound": {"audio.loudness.lufs", "audio.fidelity.snr_db", "audio.silence.vad_silence_ratio"}
    | {"audio.fidelity.dropout_ratio", "audio.fidelity.fake_stereo"},
    "picture": {"video.motion.camera_px", "video.motion.shake_px", "video.motion.subject_px", "video.stills.sharpness"},
}


def holds(kept: Kept, out: Path, media: Path | None, part: str, every: int, constants: Sequence[float]) -> None:
    """Every floor of a part does; and none does when the measures always give the same answer."""
    result = selfcheck.run(out, media, [part], every)
    assert result["broken"] == []
    assert NAMED.get(part, set()) <= {row["measure"] for row in result["findings"]}
    for kept.constant in constants:
        rows = selfcheck.run(out, media, [part], every)["findings"]
        floored = [row for row in rows if row["floors"] and row["measure"] != ONCE]
        assert floored
        assert not [(row["measure"], row["case"], row["figures"]) for row in floored if not row["broken"]]


@pytest.mark.parametrize("part", IN_CI)
def test_floors_hold_and_an_answer_that_never_changes_breaks_them(tmp_path: Path, monkeypatch, part: str) -> None:
    holds(Kept(monkeypatch), tmp_path, None, part, EVERY, [0.5])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", selfcheck.PARTS)
def test_all_of_them_on_all_there_is(tmp_path: Path, monkeypatch, part: str) -> None:
    media = Path(os.environ["KLEAR_MEDIA"]) if os.environ.get("KLEAR_MEDIA") else None
    holds(Kept(monkeypatch), tmp_path, media, part, 1, [0.0, 1.0])


def test_the_page_and_the_json(tmp_path: Path) -> None:
    selfcheck.run(tmp_path, None, ["picture"])
    page = (tmp_path / "selfcheck.html").read_text()
    assert "Every floor holds" in page and page.count("<svg") >= 6
    assert json.loads((tmp_path / "selfcheck.json").read_text())["findings"]


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
