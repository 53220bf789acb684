"""The parameters that train: all of them, or with LoRA the adapters. Optimizer, average and checkpoint hold these."""

from torch import nn


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name and parameter of everything with requires_grad, in the model's order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
