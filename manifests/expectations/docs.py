"""Data Docs: the pages that great-expectations builds of validation results, a result and a suite by table.

Its own site builder and renderers write them; the frame around them is ours (templates/), because its own fetches style
sheets and scripts from other hosts: these pages are whole without a network, from a folder or a bucket.
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import methodcaller
from pathlib import Path
from typing import Any

from manifests import files
from manifests.files import AnyPath

INDEX = "index.html"
_POINT = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}">'
_POINT += '<title>Data Docs</title><a href="{0}">Data Docs</a>\n'
"""The page that leads to the newest site: replaced in one step, so that a reader finds a whole site at any moment."""


def build(folder: AnyPath, title: str, results: Sequence[Any]) -> AnyPath:
    """Write the site of these validation results (ExpectationSuiteValidationResult) into `folder`; its first page.

    Each site is in a folder of its own, that of the site before stays until the next one: somebody may be reading it.
    """
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    with tempfile.TemporaryDirectory(prefix="klear-docs-") as scratch:
        _build(Path(scratch), title, results)
        for path in sorted(Path(scratch).rglob("*.html")):
            target = folder / run / path.relative_to(scratch).as_posix()
            files.replace(target, methodcaller("write", path.read_bytes()))
    before = [name for name in files.folders(folder) if name < run]
    files.replace(folder / INDEX, methodcaller("write", _POINT.format(f"{run}/{INDEX}").encode()))
    for name in before[:-1]:
        remove(folder / name)
    return folder / INDEX


def remove(folder: AnyPath) -> int:
    """Remove a folder and what is in it; how many files. Pages show rows that did something: a takedown ends them."""
    names = files.names(folder)
    for name in names:
        files.remove(folder / name)
    below = sum(remove(folder / name) for name in files.folders(folder))
    if files.is_local(folder) and folder.is_dir():
        folder.rmdir()
    return len(names) + below


def _build(folder: Path, title: str, results: Sequence[Any]) -> None:
    from great_expectations.render.renderer.site_builder import SiteBuilder

    view = {"module_name": "manifests.expectations.docs_view"}
    page = {"view": view | {"class_name": "PageView"}}
    builder = SiteBuilder(
        data_context=_context_of(results),
        store_backend={"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        site_name=title,
        show_how_to_buttons=False,
        site_index_builder={"class_name": "DefaultSiteIndexBuilder", "view": view | {"class_name": "IndexView"}},
        site_section_builders={"expectations": page, "validations": page, "profiling": "None"},
    )
    builder.build()


def _context_of(results: Sequence[Any]) -> Any:
    """A context whose stores, in memory, hold the suites and the results."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    from manifests.expectations import suite

    within = suite.context()
    run = RunIdentifier(run_name="validate", run_time=datetime.now(UTC))
    for result in results:
        expected = [one.expectation_config.to_domain_obj() for one in result.results]
        within.suites.add(gx.ExpectationSuite(name=result.suite_name, expectations=expected))
        key = ValidationResultIdentifier(ExpectationSuiteIdentifier(result.suite_name), run, "all-rows")
        asset = {"data_asset_name": f"tables/{result.suite_name}"}
        result.meta |= {"run_id": run, "validation_time": run.run_time.isoformat(), "batch_kwargs": asset}
        within.validation_results_store.set(key, result)
    return within
