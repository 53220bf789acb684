"""The optimizer: fused AdamW or Muon, which a skipped step leaves as it was."""

from itertools import compress
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from manifests.errors import ConfigError
from pipeline.settings import Settings
from trainer.devices import runs_triton
from trainer.gradients import local
from trainer.muon import Piece, momentum_step, muon_parts


class OptimSettings(Settings):
    """weight_decay: of matrices only. clip: largest gradient norm. ema: decay of the averaged weights.

    kind: AdamW, or Muon for the matrices inside the blocks (QKV, attention output, feed-forward) and AdamW for the
    rest; Muon's updates are scaled to the size of AdamW's, so one learning rate and weight decay serve both.
    momentum: Muon's. state_dtype: of AdamW's two moments; bf16 halves their memory. kernel: who makes AdamW's updates
    of large tensors, torch or `trainer/adamw.py`, which reads and writes half-size moments as they lie; needs a GPU.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)
    momentum: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.99, ge=0, lt=1)
    state_dtype: Literal["fp32", "bf16"] = "fp32"
    kernel: Literal["torch", "triton"] = "torch"

    @model_validator(mode="after")
    def _moves(self) -> "OptimSettings":
        if self.state_dtype == "bf16" and max(self.betas) > BF16_BETA:
            raise ValueError(
                f"state_dtype bf16 keeps 8 bits: with betas {self.betas} a step's change of {1 - max(self.betas):.2g} "
                f"would be rounded away; set betas of at most {BF16_BETA}, or state_dtype fp32"
            )
        return self


LARGE = 1 << 16
"""Values from which a launch of its own pays for a tensor: torch updates many small ones together."""

BF16_BETA = 0.98
"""Rounding to bfloat16 is off by up to 2^-9 = 0.2%; a step should move a moment by ten times that."""


class Optimizer:
    """Fused AdamW, and Muon where asked for, on the local shards; an update can be called off on the device.

    groups: lists of names with their weight decay. state: tensors by parameter name, sharded like the parameter:
    `exp_avg` and `exp_avg_sq`, or `momentum`. updates: those not skipped, a float32 scalar on the device.
    """

    def __init__(self, model: nn.Module, settings: OptimSettings) -> None:
        device = next(model.parameters()).device
        if settings.kernel == "triton" and not runs_triton(device):
            raise ConfigError("optim:kernel", "optim.kernel = 'triton' needs a CUDA device: set optim.kernel=torch")
        self.settings = settings
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        muon = muon_parts(self.parameters) if settings.kind == "muon" else {}
        if settings.kind == "muon" and not muon:
            raise ConfigError("optim:muon", "optim.kind = 'muon', but no whole matrix of a block trains: set adamw")
        bare = undecayed(model)
        rest = [name for name in self.parameters if name not in muon]
        self.groups = [
            ([n for n in rest if n not in bare], settings.weight_decay),
            ([n for n in rest if n in bare], 0.0),
        ]
        self.muon = muon
        dtype = torch.bfloat16 if settings.state_dtype == "bf16" else torch.float32
        zeros = {name: p.detach() for name, p in self.parameters.items()}
        self.state: dict[str, dict[str, torch.Tensor]] = {
            name: {"momentum": torch.zeros_like(p)}
            if name in muon
            else {key: torch.zeros_like(p, dtype=dtype) for key in ("exp_avg", "exp_avg_sq")}
            for name, p in zeros.items()
        }
        self.updates = torch.zeros((), device=device)

    @torch.no_grad()
    def step(self, lr: float, skip: torch.Tensor, factor: torch.Tensor | None = None) -> None:
        """One update with the gradients times `factor` (scalar), then clear them; where `skip` (scalar) is 1 nothing
        changes."""
        factor = torch.ones_like(skip) if factor is None else factor
        for names, decay in self.groups:
            self._adamw([n for n in names if local(self.parameters[n]).numel()], lr, decay, skip, factor)
        if self.muon:
            pieces = [Piece(self.parameters[n], self.state[n]["momentum"], parts) for n, parts in self.muon.items()]
            momentum_step(pieces, lr, self.settings.weight_decay, self.settings.momentum, skip, factor)
        self.updates += 1 - skip
        for parameter in self.parameters.values():
            parameter.grad = None

    def _adamw(self, names: list[str], lr: float, decay: float, skip: torch.Tensor, factor: torch.Tensor) -> None:
        columns = [
            [local(self.parameters[n]) for n in names],
            [local(self.parameters[n].grad) for n in names],  # type: ignore[arg-type]
            [local(self.state[n]["exp_avg"]) for n in names],
            [local(self.state[n]["exp_avg_sq"]) for n in names],
        ]
        if self.settings.kernel == "triton":
            columns = self._large_by_triton(columns, lr, decay, skip, factor)
        if self.settings.state_dtype == "fp32":
            self._fused(columns, lr, decay, skip, factor)
            return
        # The kernel wants one dtype: moments go through float32 one tensor at a time. A skip rounds back to itself.
        for parameter, grad, *moments in zip(*columns, strict=True):
            wide = [moment.float() for moment in moments]
            self._fused([[parameter], [grad], *([w] for w in wide)], lr, decay, skip, factor)
            for moment, value in zip(moments, wide, strict=True):
                moment.copy_(value)

    def _large_by_triton(
        self, columns: list[list[torch.Tensor]], lr: float, decay: float, skip: torch.Tensor, factor: torch.Tensor
    ) -> list[list[torch.Tensor]]:
        """Update the large tensors, each by a launch of its own. Returns the columns of the others, for torch."""
        from trainer.adamw import adamw_

        large = [weight.numel() >= LARGE for weight in columns[0]]
        tensors = [list(compress(column, large)) for column in columns]
        number, betas = self.updates + 1, self.settings.betas
        adamw_(*tensors, number=number, skip=skip, factor=factor, lr=lr, betas=betas, decay=decay)
        return [list(compress(column, [not one for one in large])) for column in columns]

    def _fused(
        self, columns: list[list[torch.Tensor]], lr: float, decay: float, skip: torch.Tensor, factor: torch.Tensor
    ) -> None:
        """torch's kernel: with `found_inf` 1 it leaves weights and moments untouched; it divides by `grad_scale`."""
        if not columns[0]:
            return
        number = self.updates + 1
        weights, grads, first, second = columns
        torch._fused_adamw_(
            weights,
            grads,
            first,
            second,
            [],
            [number] * len(columns[0]),
            lr=lr,
            beta1=self.settings.betas[0],
            beta2=self.settings.betas[1],
            weight_decay=decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
            grad_scale=factor.reciprocal(),
            found_inf=skip,
        )


def undecayed(model: nn.Module) -> set[str]:
    """Names without weight decay: norms, biases, embeddings and nulls (their rows are not matrices)."""
    rows = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, nn.Embedding)}
    return {name for name, p in model.named_parameters() if p.dim() < 2 or "norm" in name} | rows
