"""What the commands of `klear` share: options, and how a run is opened."""

from pathlib import Path
from typing import Annotated, Any

import typer

from manifests.errors import ConfigError
from manifests.files import exists, root

Out = Annotated[Path, typer.Option("--out", parser=root, help="output folder of the run, or s3:// or gs://")]
Preset = Annotated[str, typer.Option("--preset", help="demo, local, cluster, or a path to a YAML file")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="key=value over the preset, e.g. cut.max_s=5")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else, on stdout")]
Address = Annotated[
    str | None,
    typer.Option("--address", envvar="RAY_ADDRESS", help="existing Ray cluster; default: a local session"),
]
Dashboard = Annotated[bool, typer.Option("--dashboard", help="serve Ray's dashboard while the job runs")]


def open_run(
    out: Path, preset: str, sets: list[str] | None, address: str | None = None, dashboard: bool = False
) -> Any:
    """The `Context` of an output folder and a preset; with the dashboard, Ray is started."""
    from pipeline.config import load
    from pipeline.context import Context

    context = Context(out, load(preset, sets or []), address)
    if dashboard:
        from pipeline.engine import session

        session.start(address, dashboard=True)
    return context


def there(out: Path) -> Any:
    """The catalog of an output folder that exists. Raises ConfigError for one that does not."""
    from manifests.catalog import Catalog

    if not exists(out):
        raise ConfigError("out:missing", f"no output folder {str(out)!r}: give the OUT of a run")
    return Catalog(out)
