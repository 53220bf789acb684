"""Which numbers of processes a run divides among: what `train` refuses and `plan` must not promise. No torch."""

from typing import Literal

from manifests.errors import ConfigError
from trainer.model.config import ModelConfig

Float8 = Literal["none", "tensorwise", "rowwise"]

ALIGN = 16
"""What the contracted and the last side of a float8 product must be a multiple of, on a GPU."""


def check_context(context: int, size: int, heads: int | None = None) -> None:
    """Raise ConfigError `config:context` when groups of `context` do not divide `size` processes, or not the heads."""
    if size % context:
        raise ConfigError(
            "config:context", f"parallel.context = {context} does not divide {size} processes: set a divisor"
        )
    if heads is not None and heads % context:
        raise ConfigError(
            "config:context", f"{heads} heads do not divide among parallel.context = {context}: set a divisor"
        )


def shards_of(shard: int | None, size: int) -> int:
    """Processes that share one copy of the weights, of `size`: `parallel.shard`, null for all; one process has all.

    Raises ConfigError `config:shard` when they do not divide.
    """
    if size == 1:
        return 1
    shards = shard or size
    if size % shards:
        raise ConfigError("config:shard", f"parallel.shard = {shards} does not divide {size} processes: set a divisor")
    return shards


def rows_divide(model: ModelConfig, shards: int) -> bool:
    """Whether AdaLN's rows divide among `shards` processes, and there are whole matrices to keep (no low rank)."""
    return model.modulation_rank is None and 6 * model.width % shards == 0


def keeps_rows(model: ModelConfig, modulation: str, shards: int) -> bool:
    """Whether AdaLN's rows stay where they are, by `parallel.modulation`; ConfigError when `rows` cannot."""
    able = rows_divide(model, shards)
    if modulation == "rows" and not able:
        raise ConfigError(
            "config:modulation",
            f"modulation = 'rows' needs modulation_rank = null and 6 x width = {6 * model.width} rows to divide "
            f"among {shards} processes: set parallel.modulation=gather",
        )
    return able and modulation != "gather"


def check_elementwise(elementwise: str, products: str, compiled: bool, float8: Float8, shared: bool) -> None:
    """Raise ConfigError `config:elementwise` or `config:products` for what kernels in Triton cannot be put together
    with (`trainer/elementwise.py`)."""
    if products == "grouped" and elementwise == "torch":
        message = "parallel.products = 'grouped' is a kernel in Triton: set parallel.elementwise=triton"
        raise ConfigError("config:products", message)
    if products == "grouped" and shared:
        message = "model.shared leaves one product for all streams, nothing to group: set parallel.products=each"
        raise ConfigError("config:products", message)
    fix = None
    if compiled:
        fix = "is not compiled: set parallel.compile=false"
    elif float8 == "rowwise":
        fix = "makes one float8 scale a matrix: set parallel.float8=tensorwise or parallel.elementwise=torch"
    if elementwise == "triton" and fix:
        raise ConfigError("config:elementwise", f"parallel.elementwise = 'triton' {fix}")


def check_float8(kind: Float8, model: ModelConfig, precision: str) -> None:
    """Raise ConfigError `config:float8` for widths that float8 products cannot have, and for precision fp32."""
    if kind == "none":
        return
    if precision != "bf16":
        raise ConfigError(
            "config:float8",
            f"parallel.float8 = {kind!r} takes the place of bf16 products, but precision = {precision!r}: set "
            "precision=bf16",
        )
    for name in ("width", "ffn"):
        if getattr(model, name) % ALIGN:
            raise ConfigError(
                "config:float8",
                f"parallel.float8 = {kind!r} needs model.{name} to be a multiple of {ALIGN}, not "
                f"{getattr(model, name)}: change it, or set parallel.float8=none",
            )
