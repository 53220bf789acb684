"""A bucket's filesystem for readers of table files: what is known of a file is asked once, for such files never change.

DuckDB asks several times for the size of every Parquet file that it opens; in a bucket each is a request of its own.
"""

from collections import OrderedDict
from typing import Any

KEPT = 100_000
"""Files whose sizes are kept."""


def remembering(system: Any) -> Any:
    """A filesystem like this one (of fsspec's asynchronous ones), whose answers about Parquet files are remembered."""
    from fsspec.asyn import sync_wrapper

    made = type(system)(*system.storage_args, **system.storage_options, skip_instance_cache=True)
    ask, known = made._info, OrderedDict[str, dict[str, Any]]()

    async def info(path: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        name = made._strip_protocol(path)
        if name in known:
            return known[name]
        found: dict[str, Any] = await ask(path, *arguments, **options)
        if name.endswith(".parquet"):
            known[name] = found
            while len(known) > KEPT:
                known.popitem(last=False)
        return found

    made._info, made.info = info, sync_wrapper(info, obj=made)
    return made
