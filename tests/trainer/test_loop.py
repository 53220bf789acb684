"""The loop end to end, small: it learns, resumes bit-equal, runs through both stages, evaluates and samples."""

import json
import shutil
from pathlib import Path

import av
import pytest
import torch

from manifests.errors import ConfigError, MediaError
from trainer.checkpoint import latest, load_ema, read_progress
from trainer.curriculum import rebalance_stage
from trainer.data.latents import LatentSet, find_latents
from trainer.evaluate import evaluate
from trainer.generate import generate
from trainer.loop import train
from trainer.model.mmdit import MMDiT


def weights_of(out: Path, settings, stage: int = 1) -> dict[str, torch.Tensor]:
    model = MMDiT(settings.model)
    load_ema(latest(out, stage), model)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_an_interrupted_run_continues_bit_equal(out, tiny, monkeypatch):
    whole = train(tiny, out, 1)
    expected = weights_of(out, tiny)
    shutil.rmtree(out / "checkpoints")
    calls = []

    def stop_at_five(*args):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return step(*args)

    from trainer import loop

    step = loop.train_step
    monkeypatch.setattr(loop, "train_step", stop_at_five)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, out, 1)
    monkeypatch.setattr(loop, "train_step", step)
    assert read_progress(latest(out, 1)).step == 4
    resumed = train(tiny, out, 1)
    assert resumed["steps_now"] == 2
    assert resumed["losses"][-1]["video"] == whole["losses"][-1]["video"]
    assert resumed["heldout"] == whole["heldout"]
    assert all(torch.equal(expected[n], w) for n, w in weights_of(out, tiny).items())


@pytest.mark.parametrize(("name", "width"), [("text_dim", 384), ("video_channels", 9), ("audio_channels", 9)])
def test_latents_of_another_width_are_refused_with_both_numbers(out, tiny, name, width):
    had = getattr(tiny.model, name)
    other = tiny.model_copy(update={"model": tiny.model.model_copy(update={name: width})})
    with pytest.raises(ConfigError, match=f"model.{name} = {width}, .* have {had} channels: set it to {had}"):
        train(other, out, 1)


def test_clips_to_sample_are_the_held_out_ones_first_and_no_split_is_walked(out, tiny, monkeypatch):
    from trainer.data.index import Rows
    from trainer.data.latents import LatentSet, find_latents
    from trainer.generate import _from_clips
    from trainer.tasks import TASKS

    latents = LatentSet(find_latents(out))
    monkeypatch.setattr(Rows, "__iter__", lambda self: pytest.fail("a whole split is walked"))
    many = tiny.model_copy(update={"generate": tiny.generate.model_copy(update={"samples": 6})})
    made = _from_clips(latents, many, [TASKS["T2V"]])
    keys = [request.document.sample.key for request in made]
    assert keys == [*latents.keys("val"), *latents.keys("train")[:2]]


def test_a_cut_off_save_is_not_seen(out, tiny):
    train(tiny, out, 1)
    partial = latest(out, 1).with_name(".partial-step-00000099")
    partial.mkdir()
    (partial / "progress.json").write_text("{}")
    assert train(tiny, out, 1)["steps_now"] == 0


def test_both_stages_through_to_playable_samples(out, tiny):
    first = train(tiny, out, 1)
    assert first["heldout"][-1]["video"] < first["heldout"][0]["video"]
    report = evaluate(tiny, out, 1)
    assert {cell["task"] for cell in report["cells"]} == {"T2AV", "TI2AV", "TI2V", "T2V", "T2A"}
    assert all(0.5 < report["overall"][m]["linear"] < 5 for m in ("video", "audio"))
    table = rebalance_stage(tiny, out, 1)
    second = train(tiny, out, 2)
    assert second["mixture"] == {c["capability"]: c["new"] for c in table["changes"]}
    after = read_progress(latest(out, 2))
    assert after.position > read_progress(latest(out, 1)).position
    assert evaluate(tiny, out, 2)["before"]["video"] == report["overall"]["video"]["loss"]
    made = generate(tiny, out, 2)
    assert json.loads((out / made["folder"] / "samples.json").read_text()) == made["samples"]
    for row in made["samples"]:
        _check_media(out / made["folder"] / row["file"], row)


def _check_media(path: Path, row: dict) -> None:
    with av.open(str(path)) as media:
        sound = media.streams.audio
        assert bool(sound) == (row["task"] in {"T2AV", "TI2AV", "T2A"})
        if sound:
            assert sound[0].rate == 44_100
            samples = sum(frame.samples for frame in media.decode(sound[0]))
            assert abs(samples / 44_100 - row["seconds"]) < 1e-4
    assert path.suffix == (".wav" if row["task"] == "T2A" else ".mp4")
    if path.suffix == ".mp4":
        with av.open(str(path)) as media:
            assert media.streams.video[0].average_rate == 24
            assert sum(1 for _ in media.decode(media.streams.video[0])) / 24 == pytest.approx(row["seconds"])


def test_the_first_frame_of_ti2v_is_the_given_one(out, tiny):
    from trainer.data.latents import LatentSet, find_latents
    from trainer.documents import Conditions, Document
    from trainer.readings import readings_of
    from trainer.sampler import sample_documents
    from trainer.tasks import TASKS

    latents = LatentSet(find_latents(out))
    sample = latents.load(latents.keys("val")[0])
    noise = Conditions(1.0, 1.0, torch.randn_like(sample.video), torch.randn_like(sample.audio))
    model = MMDiT(tiny.model)
    readings = readings_of(latents, tiny.objective, torch.device("cpu"))
    made = sample_documents(model, [Document(sample, TASKS["TI2V"], noise)], readings, 3, 2.0, "fp32")[0]
    assert made.audio is None
    assert torch.equal(made.video[0], sample.video[0])
    assert not torch.equal(made.video[1], sample.video[1])


def test_errors_name_the_next_command(out, tiny):
    with pytest.raises(ConfigError, match="starts from stage 1"):
        train(tiny, out, 2)
    with pytest.raises(ConfigError, match="train --stage 1"):
        evaluate(tiny, out, 1)
    with pytest.raises(ConfigError, match="evaluate --stage 1"):
        rebalance_stage(tiny, out, 1)
    with pytest.raises(ConfigError, match="stages 1 to 2"):
        train(tiny, out, 3)


def test_another_meaning_of_the_output_is_refused_and_other_changes_are_said(out, tiny, capsys):
    train(tiny, out, 1)
    other = tiny.model_copy(update={"objective": tiny.objective.model_copy(update={"prediction": "v"})})
    for run in (lambda: train(other, out, 1), lambda: evaluate(other, out, 1)):
        with pytest.raises(ConfigError, match="objective.prediction = 'x'"):
            run()
    capsys.readouterr()
    train(tiny.model_copy(update={"seed": 5}), out, 1)
    assert "seed: not as in the checkpoint at step 6" in " ".join(capsys.readouterr().err.split())
    assert train(tiny, out, 1)["steps_now"] == 0


def test_held_out_samples_that_cannot_be_read_are_left_out_and_named(out, tiny, monkeypatch, capsys):
    load = LatentSet.load
    bad = LatentSet(find_latents(out)).keys("val")[0]

    def torn(self, key):
        if key == bad:
            raise MediaError("latents:torn", f"{key} is cut short")
        return load(self, key)

    monkeypatch.setattr(LatentSet, "load", torn)
    assert train(tiny, out, 1)["heldout"]
    assert bad in "".join(capsys.readouterr().err.split())
    assert set(evaluate(tiny, out, 1)["unreadable"]) == {bad}
