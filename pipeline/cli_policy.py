"""`klear policy`: what a policy does and what another would; no model runs."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline import console
from pipeline.options import Json, Out, Preset, Sets, open_run

app = typer.Typer(no_args_is_help=True, help="What the policy does, and what another would.")


@app.command()
def explain(out: Out, preset: Preset = "local", sets: Sets = None, json: Json = False) -> None:
    """What each gate turns away, what it alone does, and which gates turn away the same clips."""
    from pipeline.jobs.policy import explain as job

    result = job.run(open_run(out, preset, sets))
    console.print_json(result) if json else job.show(result)


@app.command()
def calibrate(
    out: Out,
    retain: Annotated[float, typer.Option("--retain", help="share of the judged clips of each class to keep")] = 0.27,
    to: Annotated[Path | None, typer.Option("--to", help="default: OUT/policies/<policy>-<retain>.yaml")] = None,
    least: Annotated[int, typer.Option("--least", min=1, help="clips of a class that its thresholds need")] = 100,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Write a policy whose thresholds keep a wanted share of each class, holding the ratios between its gates."""
    from pipeline.jobs.policy import calibrate as job

    result = job.run(open_run(out, preset, sets), retain, to, least)
    console.print_json(result) if json else job.show(result)


@app.command()
def diff(
    out: Out,
    before: Annotated[str, typer.Argument(help="a policy by name or file")],
    after: Annotated[str, typer.Argument(help="another")],
    page: Annotated[bool, typer.Option("--page/--no-page", help="write OUT/report/policy_diff.html with clips")] = True,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Which clips another policy would keep or reject, by class and gate, with clips to look at."""
    from pipeline.jobs import decide
    from pipeline.jobs.policy import diff as job
    from pipeline.report import looked_at

    context = open_run(out, preset, sets)
    result = job.run(context, before, after)
    if page:
        result["page"] = str(looked_at.diff(context, decide.named(after), result))
    console.print_json(result) if json else job.show(result)


@app.command()
def audit(
    out: Out,
    near: Annotated[int, typer.Option("--near", min=1, help="clips on each side of a threshold, by class")] = 2,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="JSON that the page saved: count what people said")
    ] = None,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Write OUT/report/policy_audit.html: clips on both sides of every threshold, for a person to judge."""
    from pipeline.jobs import decide
    from pipeline.jobs.policy import audit as job
    from pipeline.report import looked_at

    context = open_run(out, preset, sets)
    if answers:
        result = job.answers(context, answers)
    else:
        result = job.run(context, near)
        result["page"] = str(looked_at.audit(context, decide.policy_of(context), result))
    console.print_json(result) if json else job.show(result)


@app.command()
def cascade(
    out: Out,
    to: Annotated[Path | None, typer.Option("--to", help="write the best tiers here, as YAML for a preset")] = None,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
) -> None:
    """What measuring in tiers saves, and which order would save more: rejection over measured cost."""
    from pipeline.jobs.policy import cascade as job

    result = job.run(open_run(out, preset, sets), to)
    console.print_json(result) if json else job.show(result)
