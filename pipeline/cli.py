"""`klear`: the data side on the command line. Every command works on one output folder and can be run again."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from manifests.errors import ConfigError
from pipeline import auth, cli_policy, cli_validate, console, failed
from pipeline.options import Address, Dashboard, Json, Out, Preset, Sets, open_run, there

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(cli_policy.app, name="policy")
app.command()(cli_validate.validate)

_SOURCE = (
    "folder, file, glob, tar, list of urls (a.csv, 'lists/*.csv': written with its suffix, .parquet .csv .tsv .jsonl), "
    "s3:// gs:// https:// ytdlp:; repeatable. Licences come from lists, and from the sidecar of a file's folder"
)


def main() -> None:
    """Run the CLI. An error is one line and exit code 2 for settings, 1 for the rest; never a traceback unasked."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    ours = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv  # after it: what is submitted
    if "--json" in ours:
        console.own_stdout()
    try:
        auth.use_token()
        app()
    except Exception as error:
        sys.exit(failed.tell(error, "--json" in ours))


def _report(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.print_json(result)
    else:
        console.outcome(str(result["job"]), {k: v for k, v in result.items() if k not in {"job", "absent"}})


def _run(job: Callable[[], dict[str, Any]], context: Any, tables: Iterable[str], as_json: bool) -> None:
    """Run a job, validate the tables it wrote, report."""
    result = job()
    _checked(context, tables)
    _report(result, as_json)


def _checked(context: Any, tables: Iterable[str]) -> None:
    from pipeline.jobs import validate

    validate.check(context.catalog, tables, context.settings.validation)


@app.command()
def ingest(
    out: Out,
    source: Annotated[list[str], typer.Option("--source", help=_SOURCE)],
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
    address: Address = None,
    dashboard: Dashboard = False,
) -> None:
    """Find, probe and cut sources: outcomes and the cut plan, no media written."""
    from pipeline.jobs import ingest as job

    context = open_run(out, preset, sets, address, dashboard)
    _run(lambda: job.run(context, source), context, job.TABLES, json)


@app.command()
def measure(
    out: Out,
    tier: Annotated[str, typer.Option("--tier", help="which tier of the preset")] = "cheap",
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
    address: Address = None,
    dashboard: Dashboard = False,
) -> None:
    """Measure one tier of the clips that are still in."""
    from pipeline.jobs import measure as job

    context = open_run(out, preset, sets, address, dashboard)
    named = job.named(context, tier)
    _run(lambda: job.run(context, named), context, [ref.name for ref in named.stages], json)


@app.command()
def decide(out: Out, preset: Preset = "local", sets: Sets = None, json: Json = False) -> None:
    """Apply the policy to what is measured: a query, seconds at any size."""
    from pipeline.jobs import decide as job

    context = open_run(out, preset, sets)
    result: dict[str, Any] = {}
    _run(lambda: result.update(job.run(context)) or result, context, ["verdicts"], json)
    if not json:
        job.show(result)


@app.command("filter")
def filter_(
    out: Out,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
    address: Address = None,
    dashboard: Dashboard = False,
) -> None:
    """Measure and decide, tier by tier."""
    from pipeline.jobs import decide as decisions
    from pipeline.jobs import filter as job

    context = open_run(out, preset, sets, address, dashboard)
    result: dict[str, Any] = {}
    tables = ["verdicts", *(ref.name for tier in context.settings.tiers for ref in tier.stages)]
    _run(lambda: result.update(job.run(context)) or result, context, tables, json)
    if not json:
        decisions.show(result)


@app.command()
def dedup(out: Out, preset: Preset = "local", sets: Sets = None, json: Json = False) -> None:
    """Find near duplicates among the measured clips (same pictures and sound, re-encoded or re-cut); decide again."""
    from pipeline.jobs import dedup as job

    context = open_run(out, preset, sets)
    result: dict[str, Any] = {}
    _run(lambda: result.update(job.run(context)) or result, context, ["near", "duplicates", "verdicts"], json)
    if not json:
        job.show(result)


@app.command()
def annotate(
    out: Out,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
    address: Address = None,
    dashboard: Dashboard = False,
) -> None:
    """Separate, transcribe and caption the kept clips; compose their texts."""
    from pipeline.jobs import annotate as job

    context = open_run(out, preset, sets, address, dashboard)
    _run(lambda: job.run(context), context, [ref.name for ref in context.settings.annotate], json)


@app.command()
def shard(
    out: Out,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
    address: Address = None,
    dashboard: Dashboard = False,
) -> None:
    """Encode the kept clips into WebDataset shards: a new numbered generation."""
    from pipeline.jobs import shard as job

    context = open_run(out, preset, sets, address, dashboard)
    _run(lambda: job.run(context), context, ["release", "samples", "shards"], json)


@app.command()
def verify(
    out: Out,
    generation: Annotated[str | None, typer.Option("--generation", help="e.g. g0001; default: the newest")] = None,
    decode: Annotated[
        str, typer.Option("--decode", help="samples to decode: all, sample (1 in 20) or none")
    ] = "sample",
    forget: Annotated[
        bool, typer.Option("--forget", help="remove damaged shards: `klear shard` makes them anew")
    ] = False,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
    address: Address = None,
    dashboard: Dashboard = False,
) -> None:
    """Hash, count and decode the shards against their index; exit code 1 when one is not as it should be."""
    from pipeline.jobs import verify as job

    if decode not in job.SHARES:
        raise ConfigError("verify:decode", f"--decode takes {', '.join(job.SHARES)}; got {decode!r}")
    result = job.run(open_run(out, preset, sets, address, dashboard), generation, decode, forget=forget)
    _report(result, json)
    for row in result["damaged"]:
        console.say(f"{row['shard']}: {'; '.join(row['problems'])}", "damaged", "bold red")
    if result["damaged"]:
        raise typer.Exit(1)


@app.command()
def takedown(
    out: Out,
    clip: Annotated[str | None, typer.Option("--clip", help="clip_id in hex: the key of its sample")] = None,
    source: Annotated[str | None, typer.Option("--source", help="source_id in hex, uri, or path")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="every source listed under this text")] = None,
    reason: Annotated[str, typer.Option("--reason", help="kept with the tombstone")] = "",
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Take a clip, a source or a licence out of all shards and every view of the tables, for good. Killed,
    another finishes it."""
    from pipeline.jobs import takedown as job

    given = (("clip", clip), ("source", source), ("licence", licence))
    asked = [(kind, value) for kind, value in given if value is not None]
    for name, text in asked:
        if not text.strip():  # a variable that was not set, most likely: not to be taken for nothing asked
            raise ConfigError("takedown:empty", f"--{name} is empty: give it a value, or leave it away")
    if len(asked) > 1:
        raise ConfigError("takedown:one", "give one of --clip, --source and --licence")
    if asked and not reason:
        raise ConfigError("takedown:reason", "give --reason: whoever finds the gap will ask")
    there(out)
    kind, value = asked[0] if asked else (None, "")
    context = open_run(out, preset, sets)
    _run(lambda: job.run(context, kind, value, reason), context, job.TABLES, json)


@app.command()
def card(out: Out, preset: Preset = "local", sets: Sets = None, json: Json = False) -> None:
    """Write the dataset card (Hugging Face) and the HTML report with its page of samples."""
    from pipeline.jobs import card as job

    _report(job.run(open_run(out, preset, sets)), json)


@app.command()
def plan(out: Out, preset: Preset = "local", sets: Sets = None, json: Json = False) -> None:
    """What would run, in which order, on which backend, and how much of it is left."""
    from pipeline.jobs import plan as job

    found = job.of(open_run(out, preset, sets))
    console.print_json(found) if json else job.show(found)


@app.command()
def licences(out: Out = Path("out"), preset: Preset = "local", sets: Sets = None, json: Json = False) -> None:
    """The licences of everything that a run depends on."""
    from pipeline.jobs import plan as job

    found = job.licences(open_run(out, preset, sets))
    if json:
        console.print_json(found)
    else:
        header = ["what", "backend", "licence"]
        console.rows("Licences", header, [[row[key] for key in header] for row in found["licences"]])


@app.command()
def selfcheck(
    out: Out = Path("selfcheck"),
    media: Annotated[
        Path | None, typer.Option("--media", envvar="KLEAR_MEDIA", help="folder of labelled real clips")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="a part, e.g. sound; may be repeated")] = None,
    json: Json = False,
) -> None:
    """Measure what was synthesised with a known truth; exit code 1 when a measure is worse than its floor."""
    from pipeline.jobs import selfcheck as job

    result = job.run(out, media, only or [])
    console.print_json(result) if json else job.show(result)
    if result["broken"]:
        raise typer.Exit(1)


@app.command()
def status(out: Out, json: Json = False) -> None:
    """What became of every source and clip, and what is left of each job; at any time, also while one runs."""
    from pipeline.jobs import status as job

    found = job.of(there(out))
    _report(found, True) if json else job.show(found)


@app.command()
def retry(
    out: Out,
    cause: Annotated[list[str], typer.Option("--cause", help="error code of quarantined rows; may be repeated")],
    only: Annotated[list[str] | None, typer.Option("--job", help="probe, cut, measure.<tier>, annotate, shard")] = None,
    preset: Preset = "local",
    sets: Sets = None,
    json: Json = False,
    address: Address = None,
) -> None:
    """Do again what some causes quarantined, and nothing else; then decide."""
    from pipeline.jobs import retry as job

    context = open_run(out, preset, sets, address)
    result = job.run(context, cause, only or [])
    _checked(context, job.written(context, result))
    _report(result, json)
    if not json:
        job.show(result)


@app.command()
def replay(
    out: Out,
    what: Annotated[str, typer.Argument(help="first digits of a clip's id; for probe, cut: a source's id or name")],
    stage: Annotated[str, typer.Argument(help="a stage, e.g. audio.loudness; probe; cut")],
    preset: Preset = "local",
    sets: Sets = None,
    save: Annotated[Path | None, typer.Option("--save", help="folder for the views that the stage sees")] = None,
    guarded: Annotated[bool, typer.Option("--guarded", help="in a process of its own, as jobs do it")] = False,
    json: Json = False,
) -> None:
    """Run one stage on one clip here: what comes out beside what is stored. Exit code 1 when they differ."""
    from pipeline.jobs import replay as job
    from pipeline.jobs import replay_source

    context = open_run(out, preset, sets)
    if stage in replay_source.JOBS:
        result = replay_source.run(context, what, stage, guarded)
    else:
        result = job.run(context, what, stage, save, guarded)
    console.print_json(result) if json else job.show(result)
    if result["equal"] is False:
        raise typer.Exit(1)


@app.command()
def compact(
    out: Out,
    keep_s: Annotated[float, typer.Option("--keep-s", help="seconds that replaced files stay, for readers")] = 3600.0,
    json: Json = False,
) -> None:
    """Fold the small files of all tables into few large ones; safe at any time, also while a job runs."""
    from pipeline.jobs import compact as job

    _report(job.run(there(out), keep_s), json)


@app.command()
def dashboard(
    address: Annotated[str, typer.Option("--address", envvar="RAY_ADDRESS", help="HEAD:6379, or http://...")] = "auto",
    show: Annotated[bool, typer.Option("--open", help="open it in a browser")] = False,
    json: Json = False,
) -> None:
    """Where the Ray dashboard of a running cluster is. A local run has one when the job is given --dashboard."""
    from pipeline import dashboard as found

    url = found.find(address)
    console.say("", "it asks for the cluster's token: RAY_AUTH_TOKEN, or `ray get-auth-token`", "dim")
    console.print_json({"job": "dashboard", "url": url}) if json else typer.echo(url)
    if show:
        typer.launch(url)


@app.command()
def submit(
    arguments: Annotated[list[str], typer.Argument(help="the klear command, after --", metavar="-- COMMAND ...")],
    address: Annotated[
        str | None, typer.Option("--address", envvar="RAY_API_SERVER_ADDRESS", help="http://HEAD:8265")
    ] = None,
    working_dir: Annotated[
        str | None, typer.Option("--working-dir", help="checkout to run, in place of what the image has installed")
    ] = None,
    pip: Annotated[list[str] | None, typer.Option("--pip", help="package to add to the image; may be repeated")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", help="NAME=VALUE for all processes of the job")] = None,
    cpus: Annotated[float, typer.Option("--cpus", help="CPUs reserved for the driver; 0: it runs on the head")] = 0.0,
    json: Json = False,
) -> None:
    """Run a klear command on a cluster as a Ray job; its output here (with --json: on stderr), its exit code ours."""
    from pipeline import submit as job

    pairs = [item.partition("=") for item in env or []]
    if wrong := [name for name, sep, _ in pairs if not (name and sep)]:
        raise ConfigError("submit:env", f"--env takes NAME=VALUE; got {wrong[0]!r}")
    environment = job.runtime_env(working_dir, pip or [], {name: value for name, _, value in pairs})
    result = job.submit(arguments, address, environment, cpus)
    if json:
        console.print_json(result)
    raise typer.Exit(result["exit_code"])


if __name__ == "__main__":
    main()
