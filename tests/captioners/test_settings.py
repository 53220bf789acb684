"""Settings that would lose all speech, or fail on every clip, are told when a stage is made."""

from collections.abc import Callable
from typing import Any

import pytest

from captioners.separate import stems
from captioners.transcribe import qwen_omni, reconciled, sensevoice, whisperx
from manifests.errors import ConfigError

STAGES: dict[str, Callable[..., Any]] = {
    stage.NAME: stage for stage in (whisperx.STAGE, sensevoice.STAGE, qwen_omni.STAGE, reconciled.STAGE)
} | {"separator demucs": lambda **settings: stems.STAGE(backend="demucs", **settings)}


@pytest.mark.parametrize(
    ("stage", "name", "value"),
    [
        *[(f"transcribe.{name}", "batch", n) for name in ("whisperx", "sensevoice", "qwen_omni") for n in (0, -1, 1.5)],
        ("transcribe.whisperx", "device", "gpu"),
        ("transcribe.whisperx", "compute_type", "int4"),
        ("transcribe.whisperx", "language", "english"),
        ("transcribe.reconciled", "limit", -0.1),
        ("transcribe.reconciled", "limit", 30),
        ("transcribe.reconciled", "limit", float("nan")),
        ("separator demucs", "overlap", 1.0),
        ("separator demucs", "overlap", -0.1),
        ("separator demucs", "at_once", 0),
    ],
)
def test_a_value_that_cannot_be_is_refused(stage: str, name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        STAGES[stage](**{name: value})
    assert f"{stage}: {name} = {value!r}: " in caught.value.message


def test_a_setting_that_demucs_does_not_have_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown key 'shift'"):
        STAGES["separator demucs"](shift=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch", 1), ("batch", 64), ("device", "cuda"), ("compute_type", "int8_float16"), ("language", "yue")],
)
def test_other_values_are_taken(name: str, value: Any) -> None:
    assert whisperx.STAGE(**{name: value}).options[name] == value


def test_the_licence_names_the_aligner_where_there_is_one() -> None:
    for stage in (whisperx.STAGE, sensevoice.STAGE, qwen_omni.STAGE):
        assert "aligner" in stage(align_model="folder").LICENCE and "aligner" not in stage().LICENCE
