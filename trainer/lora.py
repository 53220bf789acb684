"""LoRA by peft: low-rank adapters beside the linear layers of the blocks train, the base model stays as it is.

A checkpoint of such a run holds the adapters alone; the base is read from where it lies at every start. Latents are
normalised by the statistics of the base, whatever data they were made of: its weights mean nothing on others.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from torch import nn

from manifests.errors import ConfigError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from trainer.model.mmdit import MMDiT

Target = Literal["qkv", "out", "ffn_in", "ffn_out"]
HEADS = ("heads.video", "heads.audio")


class LoraSettings(Settings):
    """base: folder of the frozen model, an export or a checkpoint (its averaged weights).

    rank: of the adapters, W + alpha / rank B A. dropout: of their inputs; its masks come from torch's own generator, so
    only with 0 is a resumed run bit-equal. targets: linear layers that get adapters, in every block and stream.
    heads: train the two output heads too, whole.
    """

    base: str
    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[Target, ...] = Field(default=("qkv", "out", "ffn_in", "ffn_out"), min_length=1)
    heads: bool = False

    @property
    def folder(self) -> Path:
        """Where the base lies."""
        return Path(self.base)


def add_adapters(model: "MMDiT", settings: LoraSettings | None) -> None:
    """Put adapters into a model and freeze the rest; nothing when settings is None. Call before sharding.

    `init_weights` draws A and makes B zero: the first output is the base's. Raises ConfigError without peft.
    """
    if settings is None:
        return
    peft = _peft()
    peft.inject_adapter_in_model(adapter_config(settings), model)
    if settings.heads:
        model.heads.requires_grad_(True)


def adapter_config(settings: LoraSettings, saved: bool = False) -> Any:
    """peft's LoraConfig; saved: as adapter_config.json has it, which names the heads that come along."""
    return _peft().LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=rf"blocks\.\d+\..*\.({'|'.join(settings.targets)})",
        bias="none",
        modules_to_save=list(HEADS) if saved and settings.heads else None,
        inference_mode=saved,
    )


def base_name(name: str) -> str | None:
    """What the base calls this parameter of a model with adapters; None for an adapter's own."""
    return None if _is_adapter(name) else name.replace(".base_layer.", ".")


def peft_name(name: str) -> str:
    """What adapter_model.safetensors calls a trained parameter."""
    return "base_model.model." + re.sub(r"\.(lora_[AB])\.default\.", r".\1.", name)


def load_adapters(model: nn.Module, folder: Path) -> Any:
    """peft's model of a base and what `klear-train export --weights lora` wrote, ready to run, merge or train."""
    return _peft().PeftModel.from_pretrained(model, str(folder))


def _is_adapter(name: str) -> bool:
    return ".lora_" in name


def _peft() -> Any:
    from media.cpu_torch import install

    install()
    try:
        import peft
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        message = "lora needs the package peft: pip install 'klear[lora]', or set lora=null"
        raise ConfigError("lora:peft", message) from None
    return peft
