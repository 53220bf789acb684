"""Metrics: few labels, and nothing recorded where there is no Ray session."""

from pipeline.engine import metrics


def test_codes_are_folded_after_a_while(monkeypatch):
    monkeypatch.setattr(metrics, "_codes", set())
    codes = [f"crash:Error{n}" for n in range(metrics.MAX_CODES + 10)]
    labels = [metrics.folded(code) for code in codes]
    assert labels[: metrics.MAX_CODES] == codes[: metrics.MAX_CODES]
    assert set(labels[metrics.MAX_CODES :]) == {"other"}
    assert metrics.folded(codes[0]) == codes[0]  # known ones keep their name
