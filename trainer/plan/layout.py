"""How a run is laid out over GPUs: what the planner needs of the settings."""

from dataclasses import dataclass

from trainer.divides import check_context, check_elementwise, check_float8, keeps_rows, shards_of
from trainer.plan.trained import adapters, momenta, trained
from trainer.recompute import Recompute
from trainer.settings import TrainSettings


@dataclass(frozen=True)
class Layout:
    """gpus: all of them. shard: GPUs that share one copy of the weights. context: GPUs that share a micro-batch.

    rows: AdaLN weights are never gathered. recompute: see `trainer/recompute.py`. bf16: precision. moment_bytes: of
    each of AdamW's two moments. micro_tokens: most tokens of a micro-batch, on `context` GPUs together; None: no limit.
    adapters: parameters of LoRA, 0 without. trained: parameters that train. momenta: of those, moved by Muon. compiled:
    whether the blocks are, or their elementwise work is in kernels of ours, which is taken to cost the same.
    own_adamw: `trainer/adamw.py` updates the weights.
    """

    gpus: int
    shard: int
    context: int
    rows: bool
    recompute: Recompute
    bf16: bool
    moment_bytes: int
    micro_tokens: int | None
    adapters: int
    trained: int
    momenta: int
    compiled: bool = False
    own_adamw: bool = False

    @property
    def replicas(self) -> int:
        """Copies of the weights."""
        return self.gpus // self.shard

    @property
    def data_size(self) -> int:
        """Micro-batches that run at the same time."""
        return self.gpus // self.context


def layout_of(settings: TrainSettings, gpus: int, document: int) -> Layout:
    """What the settings ask for on this many GPUs. document: tokens of the largest sample, which goes in one piece.

    Raises ConfigError where `train` does: for numbers that do not divide, for Muon with LoRA, for float8 in fp32, and
    for kernels that do not go together.
    """
    p, model, limit = settings.parallel, settings.model, settings.batch.micro_tokens
    check_context(p.context, gpus, model.heads)
    check_float8(p.float8, model, settings.precision)
    check_elementwise(p.elementwise, p.products, p.compile, p.float8, model.shared)
    shard = shards_of(p.shard, gpus)
    return Layout(
        gpus=gpus,
        shard=shard,
        context=p.context,
        rows=gpus > 1 and keeps_rows(model, p.modulation, shard),
        recompute=p.recompute,
        bf16=settings.precision == "bf16",
        moment_bytes=2 if settings.optim.state_dtype == "bf16" else 4,
        micro_tokens=None if limit is None else max(limit, document),
        adapters=adapters(model, settings.lora),
        trained=trained(settings),
        momenta=momenta(settings),
        compiled=p.compile or p.elementwise == "triton",
        own_adamw=settings.optim.kernel == "triton",
    )
