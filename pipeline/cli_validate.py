"""`klear validate`: the tables against their expectations, and against a baseline."""

from typing import Annotated

import typer

from pipeline import console
from pipeline.options import Json, Out, Preset, Sets, open_run, there


def validate(
    out: Out,
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="output folder or saved .json to compare distributions with")
    ] = None,
    save: Annotated[
        str | None, typer.Option("--save-baseline", help=".json to write the distributions of this run to")
    ] = None,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Check every table against its great-expectations suite and build the Data Docs; exit code 1 on a violation."""
    from pipeline.jobs import validate as job

    catalog, settings = there(out), open_run(out, preset, sets).settings.validation
    if baseline is not None:
        settings = settings.model_copy(update={"baseline": baseline})
    result, found = job.run(catalog, settings, save)
    console.print_json(result) if json else job.show(result, found)
    if result["failed"]:
        raise typer.Exit(1)
