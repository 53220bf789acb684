"""The benchmark's own parts on tiny sizes: what both models get, turns, clocks, parts that fail."""

import os
import time

import pytest
import torch

from bench.step.bench import SMALL_GRID
from bench.step.clocks import Clocks, parse
from bench.step.peer import peer_inputs
from bench.step.profile import Budget
from bench.step.report import Part, Report
from bench.step.sizes import SMALL, clip_of, made_up_batch
from bench.step.tables import budget_table
from bench.step.turns import in_turn
from bench.step.variants import VARIANTS, Variant, why_not

BATCH = made_up_batch(SMALL.ours(), clip_of(SMALL_GRID))
CPU = torch.device("cpu")


def test_both_media_have_two_noise_levels_and_the_peer_the_same():
    packed, inputs = BATCH.packed, peer_inputs(BATCH)
    v, tv, ta, a = packed.lengths[0]
    assert packed.group[0][:v].unique().tolist() == [0, 1] and packed.group[3][:a].unique().tolist() == [0, 2]
    levels = inputs["timestep"][inputs["timestep_indices"]]
    assert torch.equal(levels[inputs["video_indices"]], BATCH.video.sigma[:v])
    assert torch.equal(levels[inputs["audio_indices"]], BATCH.audio.sigma[:a])
    assert len(levels) == v + tv + ta + a == len(inputs["position_ids"]) and tv + ta == len(inputs["text_indices"])


def test_models_take_turns_and_a_loss_that_is_no_number_stops_them():
    order = []

    def step(name: str, value: float):
        return lambda: (order.append(name), torch.tensor(value))[1]

    found = in_turn({"a": step("a", 1.0), "b": step("b", 1.0)}, rounds=2, each=2, device=CPU)
    assert "".join(order[6:]) == "aabbaabb" and len(found["a"].seconds) == 2
    with pytest.raises(RuntimeError, match="b: the loss is nan"):
        in_turn({"a": step("a", 1.0), "b": step("b", float("nan"))}, rounds=1, each=1, device=CPU)


def test_clocks_are_medians_of_the_lines_inside_a_span(tmp_path, monkeypatch):
    """A program that prints as nvidia-smi does, with a line that it cannot read."""
    program = tmp_path / "nvidia-smi"
    lines = (
        "1400, 650.5, 0x0000000000000004\\n1410, 690.0, 0x0000000000000004\\n[N/A], [N/A], 0x0\\n1420, 691.0, 0x0\\n"
    )
    program.write_text(f"#!/bin/sh\nprintf '{lines}'\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with Clocks() as clocks:
        deadline = time.monotonic() + 20
        while len(clocks.samples) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert clocks.during([(0.0, float("inf"))]) == "1,410 MHz, 690 W, power cap"
    assert clocks.during([(-2.0, -1.0)]) == "not read"


def test_without_nvidia_smi_clocks_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with Clocks() as clocks:
        pass
    assert clocks.during([(0.0, float("inf"))]) == "not read" and parse("garbage", 0.0) is None


def test_a_part_that_fails_is_named_and_the_others_run(capsys):
    def fails() -> Part:
        raise RuntimeError("no such kernel\nand more")

    report = Report(60, small=False)
    assert not report.part("first", fails) and report.part("second", lambda: Part("text", {"ms": 1.5}))
    assert report.failed == {"first": "RuntimeError: no such kernel"}
    assert '{"part": "second", "ms": 1.5}' in capsys.readouterr().out and "- first: RuntimeError" in report.text()


def test_what_would_start_too_late_is_left_out_and_small_runs_tell_no_figures():
    late = Report(-1, small=False)
    assert not late.part("third", lambda: Part("", {})) and "left out" in late.failed["third"]
    small = Report(60, small=True)
    small.part("fourth", lambda: Part("bf16 12.5 ms, 1,000 tokens", {}))
    assert small.texts == ["### fourth\n\nbf16 # ms, # tokens"]


def test_a_variant_whose_setting_is_not_there_is_left_out():
    assert why_not(VARIANTS["bf16"], False) is None
    assert why_not(Variant({"nothing": 1}), False) == "there is no parallel.nothing"
    assert "'none', 'selective', 'attention' or 'full'" in (why_not(Variant({"recompute": "some"}), False) or "")


def test_a_budget_adds_up():
    kinds = dict.fromkeys(("GEMM", "attention", "elementwise", "gather, copy", "optimizer", "memset", "other"), 0.01)
    text = budget_table({"ours": Budget(0.1, kinds, {"_odd": 0.01})}, {"GEMM": 0.005, "step": 0.05})
    assert "| GEMM | 10.0 | 5.0 |" in text and "| no kernel | 30.0 | - |" in text and "`_odd` 10.0 ms" in text
