"""`klear-train`: encode, train, watch, evaluate, rebalance, generate, export. Also `python -m trainer`, by torchrun."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from manifests.errors import ConfigError, KlearError
from manifests.files import is_local, root

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def _local(text: str) -> Path:
    """The folder of a run. Shards are read and checkpoints are written in place, so it must be on a disk."""
    place = root(text)
    if not is_local(place):
        raise ConfigError(
            "out:bucket",
            f"klear-train works in a local folder: copy tables/ and shards/ of {text} to one; latents may stay in a "
            f"bucket (--set latents=s3://...)",
        )
    return place


Out = Annotated[
    Path, typer.Option("--out", parser=_local, help="Folder of the run: tables, shards, latents, checkpoints, samples.")
]
Preset = Annotated[str, typer.Option("--preset", help="A preset of trainer/presets, or a path to a YAML file.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="key=value on top of the preset; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Stage = Annotated[int, typer.Option("--stage", min=1, help="Stage of the curriculum.")]


@app.command()
def encode(
    out: Out,
    preset: Preset = "demo",
    sets: Sets = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that encode; by default one a CPU.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster, else a local session.")] = None,
    as_json: Json = False,
) -> None:
    """Turn the newest shards into latents and caption features, once."""
    from manifests.catalog import Catalog
    from pipeline.jobs.validate import check
    from trainer.data.encode import encode as run
    from trainer.settings import load_train_settings

    result = run(out, load_train_settings(preset, sets or []).encode, workers=workers, address=address)
    check(Catalog(out), ["latents"])
    _report(result, as_json, _print_outcome)


@app.command()
def train(
    out: Out,
    stage: Stage = 1,
    preset: Preset = "demo",
    sets: Sets = None,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="Kernels that repeat bit for bit.")] = False,
    launcher: Annotated[
        str, typer.Option(help="torchrun: this process, or those torchrun made; ray: Ray Train.")
    ] = "torchrun",
    workers: Annotated[int, typer.Option(help="With --launcher ray: processes.")] = 1,
    gpus_per_worker: Annotated[float, typer.Option(help="With --launcher ray: GPUs of each; 0 trains on CPUs.")] = 1.0,
    address: Annotated[str | None, typer.Option(help="With --launcher ray: a cluster, else a local session.")] = None,
    as_json: Json = False,
) -> None:
    """Train one stage to its end; run again, it continues from its newest checkpoint."""
    from trainer.launch_ray import Workers, train_on_ray
    from trainer.loop import train as run
    from trainer.report import print_training
    from trainer.settings import load_train_settings

    more = ["deterministic=true"] if deterministic else []
    settings = load_train_settings(preset, [*(sets or []), *more])
    match launcher:
        case "torchrun":
            result = run(settings, out, stage)
        case "ray":
            result = train_on_ray(settings, out, stage, Workers(workers, gpus_per_worker, address))
        case _:
            raise ConfigError("config:launcher", f"--launcher {launcher!r}: give torchrun or ray")
    _report(result, as_json, print_training)


@app.command()
def plan(
    preset: Preset = "demo",
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="GPUs in all, 8 a node.")] = 1,
    gpu: Annotated[str, typer.Option("--gpu", help="A name in trainer/gpus.py: h100, h200, a100, b200.")] = "h100",
    size: Annotated[list[str] | None, typer.Option("--size", help="WIDTHxHEIGHT, pixels; may be repeated.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Duration of the samples.")] = None,
    stage: Stage = 1,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Parameters, FLOPs, memory, traffic, time and MFU of a run, without its GPUs; refuses what cannot fit."""
    from trainer.plan.clip import clips_of
    from trainer.plan.plan import plan as make
    from trainer.plan.show import refusal, show_plan
    from trainer.settings import load_train_settings

    settings = load_train_settings(preset, sets or [])
    result = make(settings, gpus, gpu, clips_of(settings, size or [], seconds), stage)
    _report(result, as_json, show_plan)
    if error := refusal(result):
        print(f"{error.code}: {error.message}", file=sys.stderr)
        raise typer.Exit(2)


@app.command()
def evaluate(out: Out, stage: Stage = 1, preset: Preset = "demo", sets: Sets = None, as_json: Json = False) -> None:
    """Held-out loss of a stage's averaged weights, per task, class and medium."""
    from trainer.evaluate import evaluate as run
    from trainer.report import print_evaluation
    from trainer.settings import load_train_settings

    _report(run(load_train_settings(preset, sets or []), out, stage), as_json, print_evaluation)


@app.command()
def rebalance(out: Out, stage: Stage = 1, preset: Preset = "demo", sets: Sets = None, as_json: Json = False) -> None:
    """From a stage's evaluation, the sampling weights of the next."""
    from trainer.curriculum import rebalance_stage
    from trainer.report import print_rebalance
    from trainer.settings import load_train_settings

    _report(rebalance_stage(load_train_settings(preset, sets or []), out, stage), as_json, print_rebalance)


@app.command()
def export(
    out: Out,
    stage: Stage = 1,
    weights: Annotated[str, typer.Option(help="ema or model; of a LoRA run lora (the adapters) or merged.")] = "ema",
    dtype: Annotated[str, typer.Option(help="bf16 or fp32.")] = "bf16",
    to: Annotated[Path | None, typer.Option(help="Folder to make; by default one in OUT/export.")] = None,
    max_gb: Annotated[float, typer.Option(help="Largest file, GB.")] = 5.0,
    as_json: Json = False,
) -> None:
    """Write a stage's weights as safetensors in the hub's layout, with all that is needed to use them."""
    from trainer.export.export import export as run

    _report(run(out, stage, weights, dtype, to, max_gb), as_json, _print_outcome)


@app.command()
def generate(
    out: Out,
    stage: Stage = 1,
    preset: Preset = "demo",
    sets: Sets = None,
    prompt: Annotated[list[str] | None, typer.Option(help="Caption of both media; may be repeated.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="T2AV, TI2AV, TI2V, T2V or T2A; may be repeated.")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="An export, in place of a stage and a preset; samples go to OUT/samples."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Sample a stage's averaged weights, or an export, into .mp4 and .wav files."""
    from trainer.generate import generate as run
    from trainer.generate import generate_from
    from trainer.report import print_samples
    from trainer.settings import load_train_settings

    if source is not None:
        to = out / "samples" / source.name
        return _report(generate_from(source, to, prompt or [], task, sets or []), as_json, print_samples)
    settings = load_train_settings(preset, sets or [])
    _report(run(settings, out, stage, prompt or [], task), as_json, print_samples)


@app.command()
def watch(
    out: Out,
    stage: Annotated[int | None, typer.Option("--stage", min=1, help="Default: the stage written to last.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Show the newest row and end.")] = False,
    as_json: Json = False,
) -> None:
    """The live table of a run that another process trains, until its last step; with --json its newest row."""
    from trainer.observe.watch import newest_row
    from trainer.observe.watch import watch as run

    if as_json:
        print(json.dumps(newest_row(out, stage)))
    else:
        run(out, stage, once)


@app.command()
def demo(
    out: Out,
    source: Annotated[list[Path] | None, typer.Option("--source", help="Folder of videos of your own.")] = None,
    data_preset: Annotated[str, typer.Option(help="Preset of the data jobs.")] = "demo",
    preset: Preset = "demo",
    data_sets: Annotated[list[str] | None, typer.Option("--data-set", help="key=value for the data jobs.")] = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Everything, from raw video to generated samples, in one process."""
    from pipeline.config import load
    from pipeline.context import Context
    from trainer import demo as job
    from trainer.settings import load_train_settings

    settings, train_settings = load(data_preset, data_sets or []), load_train_settings(preset, sets or [])
    context = Context(out, settings)
    context.prepare()
    run = job.Demo(context, train_settings, job.prepare(context.out, source or []))
    _report(job.run(run, _show_step if not as_json else lambda name, result: None), as_json, job.show_summary)


def _show_step(name: str, result: Mapping[str, Any]) -> None:
    """A step's result as its own command would show it."""
    from pipeline import console
    from pipeline.jobs import decide
    from trainer import report

    match name.split(maxsplit=1)[0]:
        case "train":
            report.print_training(result)
        case "evaluate":
            report.print_evaluation(result)
        case "re-balance":
            report.print_rebalance(result)
        case "generate":
            report.print_samples(result)
        case _:
            console.outcome(name, {k: v for k, v in result.items() if k not in {"job", "absent"}})
    if "yields" in result:
        decide.show(result)


def _report(result: Mapping[str, Any], as_json: bool, show: Callable[[Mapping[str, Any]], None]) -> None:
    """Print once, from the first process."""
    import os

    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        show(result)


def _print_outcome(result: Mapping[str, Any]) -> None:
    from pipeline import console

    console.outcome(str(result.get("job", "encode")), {k: v for k, v in result.items() if k != "job"})


def main() -> None:
    """Run the CLI: an error is one line on stderr; exit code 2 for wrong settings, 1 for the rest."""
    from trainer.parallel import leave_world

    try:
        app()
    except KlearError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": {"code": error.code, "message": error.message}}))
        print(f"{error.code}: {error.message}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    finally:
        leave_world()
