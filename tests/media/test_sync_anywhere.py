"""Sync survives cutting for whatever can be made: containers, codecs, rates, offsets, holes, edit lists, positions."""

import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.sync_measure import survey
from bench.sync_sources import CONTAINERS, H264, MPEG2, Spec, draw
from media.scratch import scratch_dir

AAC, MP2 = ("-c:a", "aac"), ("-c:a", "mp2")
LONG_GOP = (*H264, "-bf", "3", "-g", "9999", "-keyint_min", "9999", "-sc_threshold", "0")
QUIET = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def check(spec: Spec, places: int) -> None:
    with tempfile.TemporaryDirectory(dir=scratch_dir()) as folder:
        outcome = survey(spec, Path(folder), places)
    assert not outcome.problems, f"{spec.title}: {outcome.problems[0]}"


@settings(QUIET, max_examples=6)
@given(st.data())
def test_a_few(data: st.DataObject) -> None:
    check(draw(lambda options: data.draw(st.sampled_from(options))), 2)


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
@settings(QUIET, max_examples=25)
@given(st.data())
def test_many(container: str, data: st.DataObject) -> None:
    check(draw(lambda options: data.draw(st.sampled_from(options)), container), 4)


@pytest.mark.parametrize(
    "spec",
    [
        Spec("ts", LONG_GOP, AAC, seconds=26, mux=("-output_ts_offset", "95440")),
        Spec("flv", (*H264, "-bf", "2", "-g", "30"), AAC, Fraction(12), pace="screen", hole=(2.0, 0.02), seed=4),
        Spec("mp4", LONG_GOP, AAC, Fraction(30_000, 1001), rate=8000, remux=(("-ss", "1.9"), ())),
        Spec("mkv", (*H264, "-bf", "2"), AAC, Fraction(60), rate=44_100, seconds=26, pace="switch", hole=(3.0, 0.03)),
        Spec("mpg", (*MPEG2, "-flags", "+ildct+ilme"), MP2, Fraction(50), fields="tff", audio_at=0.4),
        Spec("mov", (*H264, "-bf", "2"), ("-c:a", "pcm_s16le"), video_at=0.7, audio_from=0.2, tracks=2, rate=96_000),
    ],
    ids=lambda spec: spec.title[:40],
)
def test_what_went_wrong_once(spec: Spec) -> None:
    check(spec, 2)
