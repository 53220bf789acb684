"""The planner: what it prints agrees with the arithmetic of the paper-literal model, and it refuses what cannot fit."""

import json

import pytest
from typer.testing import CliRunner

from manifests.errors import ConfigError
from trainer.batches import Grain, load_of
from trainer.cli import app
from trainer.gpus import GPUS, USABLE, peak_flops
from trainer.plan.change import candidates
from trainer.plan.clip import Clip, clips_of
from trainer.plan.layout import layout_of
from trainer.plan.memory import weight_bytes
from trainer.plan.plan import plan
from trainer.plan.show import refusal
from trainer.plan.step import Work, expected_step
from trainer.plan.time import traffic
from trainer.settings import PRESETS, load_train_settings
from trainer.tasks import TASKS

GIB = 2**30
CLIP = Clip(848, 480, 5.0)
MICRO = "batch.micro_tokens=26758"
"""One such clip a micro-batch."""


def klear(*sets: str):
    return load_train_settings("klear_26b", ["parallel.recompute=full", "batch.micro_tokens=null", *sets])


@pytest.mark.parametrize(("gpus", "expected"), [(8, 48.2), (16, 24.1), (32, 12.1), (64, 6.0)])
def test_the_states_of_26_billion_parameters(gpus, expected):
    """16 bytes a parameter over the shards: the reference's table; 4 more for the average."""
    settings = klear()
    found = weight_bytes(settings.model, layout_of(settings, gpus, 26_758), ema=False)
    assert sum(found[k] for k in ("parameters", "gradients", "moments")) / GIB == pytest.approx(expected, abs=0.1)
    with_average = weight_bytes(settings.model, layout_of(settings, gpus, 26_758))
    assert with_average["EMA"] == found["parameters"]


def test_activations_of_one_480p_sample_with_everything_made_again():
    """The reference's hand count: residuals 6.5 GiB at 26.7k tokens, one live block about 7; here heads come on top."""
    memory = plan(klear(MICRO), 64, "h100", [CLIP])["memory"]
    assert memory["block made again"] / GIB == pytest.approx(7, abs=0.5)
    residuals = 32 * 26_822 * 4096 * 2
    assert residuals / GIB == pytest.approx(6.5, abs=0.1)
    assert residuals < memory["activations"] < residuals + 1.6 * GIB


def test_gathering_adaln_more_than_doubles_the_traffic():
    """8 bytes x 13.0 B without AdaLN; its 12.9 B, gathered twice in float32 and reduced, add 12 bytes each."""
    settings = klear("stages.0.tokens=26758", "mixture.tasks={T2AV: 1}")
    found = {}
    for way in ("gather", "rows"):
        told = settings.model_copy(update={"parallel": settings.parallel.model_copy(update={"modulation": way})})
        result = plan(told, 64, "h100", [CLIP])
        assert result["step"]["micro_batches"] == 1
        found[way] = result["communication"]["all-gather of weights"]
        found[way] += result["communication"]["reduce-scatter of gradients"]
    assert found["gather"] / 1e9 == pytest.approx((8 * 13.007 + 12 * 12.888) * 63 / 64, rel=0.01)
    assert found["rows"] / found["gather"] == pytest.approx(0.402, abs=0.005)


def test_copies_and_context_add_their_traffic():
    settings = klear("parallel.shard=16", "parallel.context=4", MICRO)
    result = plan(settings, 64, "h100", [CLIP])
    assert result["layout"]["shard"] == 16 and result["fits"]
    assert result["communication"]["all-reduce between copies"] > 0
    rows = result["step"]["tokens_per_s"] * result["step"]["seconds"]["step"] / 64
    expected = 3 * 4 * 4096 * 2 * 32 * 0.75 * rows
    assert result["communication"]["all-to-all of context"] == pytest.approx(expected, rel=0.01)


def test_mfu_is_between_what_peers_reach_and_what_products_sustain():
    result = plan(klear(MICRO), 64, "h100", [CLIP])
    assert 0.23 < result["step"]["mfu"] < 0.687
    flops = result["step"]["flops_per_gpu"] * 64
    assert result["step"]["mfu"] == pytest.approx(flops / 64 / result["step"]["seconds"]["step"] / 989e12)


def test_context_parallelism_is_for_samples_that_no_gpu_holds():
    """10 s of 720p: 112 thousand tokens."""
    result = plan(klear(MICRO), 64, "h100", [Clip(1280, 720, 10.0)])
    assert result["change"] == ["parallel.context=2"]


@pytest.mark.parametrize(
    ("gpus", "sets", "change"),
    [
        (16, ["parallel.shard=8", MICRO], ["parallel.shard=16"]),
        (8, [MICRO], ["optim.state_dtype=bf16"]),
        (64, ["parallel.recompute=none", MICRO], ["optim.state_dtype=bf16", "parallel.recompute=selective"]),
        (128, ["parallel.recompute=none", MICRO], ["parallel.recompute=selective"]),
        (64, ["batch.micro_tokens=120000"], ["batch.micro_tokens=27648"]),
        (1, [MICRO], ["--gpus 8", "optim.state_dtype=bf16"]),
    ],
)
def test_what_does_not_fit_is_refused_with_the_smallest_change(gpus, sets, change):
    result = plan(klear(*sets), gpus, "h100", [CLIP])
    assert not result["fits"] and result["change"] == change
    assert result["after"]["memory"]["total"] <= result["memory"]["usable"] < result["memory"]["total"]
    error = refusal(result)
    assert error is not None and error.code == "plan:memory" and "the smallest change that fits" in error.message


def test_the_preset_fits_as_it_is():
    for gpus in (16, 64):
        result = plan(load_train_settings("klear_26b"), gpus, "h100")
        assert result["fits"] and result["change"] == [] and result["after"] is None
        assert refusal(result) is None
    tokens = result["clips"][0]["tokens"]["T2AV"]
    assert 26_758 <= tokens < 26_758 + 64 and tokens % 64 == 0  # with its registers


def test_the_mixture_of_tasks_decides_a_step():
    settings = klear("mixture.tasks={T2AV: 3, T2A: 1}", "stages.0.tokens=400000", "batch.micro_tokens=32768")
    loads = {name: _load(name, settings) for name in ("T2AV", "T2A")}
    step = expected_step(settings, layout_of(settings, 8, 26_758), Work(loads, 1))
    assert step.rows * 8 <= 400_000 and step.turns == 2


def _load(task, settings):
    return load_of(CLIP.info(), TASKS[task], Grain.of(settings.model))


def test_traffic_of_one_gpu_is_none():
    settings = load_train_settings("local")
    layout = layout_of(settings, 1, 10)
    step = expected_step(settings, layout, Work({"T2AV": _load("T2AV", settings)}, 1))
    assert sum(traffic(settings.model, layout, step).values()) == 0


def test_peaks_of_devices_by_the_drivers_name():
    assert peak_flops("NVIDIA H100 80GB HBM3") == peak_flops("NVIDIA H200") == 989e12
    assert peak_flops("NVIDIA A100-SXM4-80GB") == 312e12 and peak_flops("Intel Xeon") is None
    assert all(gpu.gemm < gpu.peak and gpu.attention < gpu.peak for gpu in GPUS.values())


def test_the_command():
    run = CliRunner().invoke(app, ["plan", "--preset", "klear_26b", "--gpus", "64", "--gpu", "h100", "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told["parameters"]["blocks"] == 25_776_128_000 and told["fits"]
    assert told["assumed"]["links"] == "300 GB/s a GPU each way inside a node of 8"
    assert told["assumed"]["elementwise"].startswith("400 bytes")
    sized = CliRunner().invoke(
        app, ["plan", "--preset", "klear_26b", "--gpus", "8", "--size", "1280x720", "--size", "448x256", "--json"]
    )
    assert sized.exit_code == 2
    told = json.loads(sized.stdout)
    assert [clip["width"] for clip in told["clips"]] == [1280, 448] and told["change"]
    assert sized.stderr.count("\n") == 1 and sized.stderr.startswith("plan:memory: ")


def test_a_wrong_size_or_gpu_says_what_to_write():
    for wrong, words in ((["--size", "480p"], "WIDTHxHEIGHT"), (["--gpu", "rtx"], "h100, h200")):
        run = CliRunner().invoke(app, ["plan", "--preset", "tiny", *wrong])
        assert isinstance(run.exception, ConfigError) and words in run.exception.message


@pytest.mark.parametrize(("preset", "gpus", "room"), [("local", 1, 24e9), ("cluster", 8, 80e9)])
def test_presets_fit_what_their_comments_promise(preset, gpus, room):
    """And the comment has the planner's figure."""
    result = plan(load_train_settings(preset), gpus, "h100")
    total = result["memory"]["total"]
    assert total <= USABLE * room
    assert f"{total / GIB:.1f} GiB" in (PRESETS / f"{preset}.yaml").read_text()


def test_without_a_limit_a_micro_batch_holds_all_that_a_rank_has():
    """Ten samples of 1,602 tokens on two ranks: five each."""
    settings = load_train_settings("tiny", ["stages.0.tokens=16020", "mixture.tasks={T2AV: 1}"])
    one = load_of(clips_of(settings)[0].info(), TASKS["T2AV"]).tokens
    assert one == 1602
    for sets, tokens, turns in (([], 5 * one, 1), ([f"batch.micro_tokens={one}"], one, 5)):
        changed = load_train_settings("tiny", ["stages.0.tokens=16020", "mixture.tasks={T2AV: 1}", *sets])
        step = plan(changed, 2, "h100")["step"]
        assert (step["micro_batch_tokens"], step["micro_batches"]) == (tokens, turns)


def test_every_class_of_sizes_is_listed_and_the_largest_decides():
    classes = "encode.sizes=[[64,48],[256,144],[48,64]]"
    several = plan(load_train_settings("tiny", [classes]), 1, "h100")
    alone = plan(load_train_settings("tiny", ["encode.width=256", "encode.height=144"]), 1, "h100")
    assert [(clip["width"], clip["height"]) for clip in several["clips"]] == [(64, 48), (256, 144), (48, 64)]
    assert several["memory"] == alone["memory"]


@pytest.mark.parametrize(
    ("gpus", "sets", "code"),
    [
        (8, ["parallel.context=3"], "config:context"),
        (9, ["parallel.context=3"], "config:context"),
        (8, ["parallel.shard=16"], "config:shard"),
        (8, ["parallel.modulation=rows", "model.modulation_rank=4"], "config:modulation"),
        (5, ["parallel.modulation=rows"], "config:modulation"),
        (1, ["optim.kind=muon", "lora={base: x}"], "optim:muon"),
    ],
)
def test_what_train_refuses_is_not_planned(gpus, sets, code):
    """6 x width = 384 rows do not divide among 5, nor 2 heads among 3."""
    with pytest.raises(ConfigError) as error:
        plan(load_train_settings("tiny", sets), gpus, "h100")
    assert error.value.code == code


def test_suggestions_are_what_train_accepts():
    """Betas that half-size moments would round away, 384 rows that 40 does not divide, a pinned shard that stays."""
    sets = ["optim.betas=[0.9, 0.99]", "parallel.modulation=rows", "parallel.shard=8", "model.heads=32"]
    tried = list(candidates(load_train_settings("tiny", [*sets, "model.rope.axes=[2,0,0]"]), 40, 1602))
    words = {word for change in tried for word in change.words}
    assert "optim.state_dtype=bf16" not in words and "parallel.shard=40" not in words
    assert {"parallel.context=8", "parallel.recompute=full", "--gpus 80", "parallel.shard=16"} <= words
    assert all(384 % change.layout.shard == 0 for change in tried)
    first = next(change for change in tried if change.words == ("--gpus 80",))
    assert first.layout.shard == 8


def test_float8_counts_the_videos_linears_from_its_rows_on():
    """A clip a micro-batch has 25,440 rows of video on a GPU; where four GPUs share them, 6,360."""
    sets = ("precision=bf16", "stages.0.tokens=107032", "mixture.tasks={T2AV: 1}", MICRO, "parallel.float8=rowwise")
    for rows, context, counts in ((25_440, 1, True), (25_441, 1, False), (6_361, 4, False), (6_360, 4, True)):
        settings = klear(*sets, f"parallel.float8_rows={rows}", f"parallel.context={context}")
        loads = {name: load_of(CLIP.info(), task) for name, task in TASKS.items()}
        step = expected_step(settings, layout_of(settings, 4, 26_758), Work(loads, 1))
        linears = 32 * (8 * 4096**2 + 4 * 4096 * settings.model.ffn)
        assert step.float8 == (3 * 25_440 * linears if counts else 0), (rows, context)


@pytest.mark.parametrize("sets", [("compile=true",), ("float8=rowwise",), ("elementwise=torch", "products=grouped")])
def test_kernels_are_refused_where_train_refuses_them(sets):
    words = ["parallel.elementwise=triton", *(f"parallel.{one}" for one in sets)]
    with pytest.raises(ConfigError, match=r"set parallel\."):
        plan(klear("precision=bf16", *words), 64, "h100", [CLIP])


def test_float8_is_refused_where_train_refuses_it():
    with pytest.raises(ConfigError, match="A100 has no float8"):
        plan(klear("parallel.float8=rowwise", "precision=bf16"), 64, "a100", [CLIP])
    with pytest.raises(ConfigError, match="precision=bf16"):
        plan(klear("parallel.float8=rowwise", "precision=fp32"), 64, "h100", [CLIP])
