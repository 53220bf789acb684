"""CAM++, the network (Wang 2023): context-aware masking over a densely connected TDNN.

Written here to load the published state dict; `speaker_embedding.py` says what it is for.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

GROWTH = 32
BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of the three dense blocks."""


def norm_relu(width: int, affine: bool = True, relu: bool = True) -> nn.Sequential:
    """Batch norm, then ReLU, under the names of the published state dict."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(batchnorm=nn.BatchNorm1d(width, affine=affine))
    if relu:
        layers["relu"] = nn.ReLU()
    return nn.Sequential(layers)


class Residual(nn.Module):
    """Two 3x3 convolutions over (frequency, time) with a shortcut; `stride` divides the frequency axis."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        across = [nn.Conv2d(width, width, 1, (stride, 1), bias=False), nn.BatchNorm2d(width)]
        self.shortcut = nn.Sequential(*(across if stride > 1 else []))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class Head(nn.Module):
    """Features (B, 80, T) -> (B, 320, T): 32 maps of 10 frequencies, stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(Residual(32, 2), Residual(32, 1))
        self.layer2 = nn.Sequential(Residual(32, 2), Residual(32, 1))
        self.conv2 = nn.Conv2d(32, 32, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x.unsqueeze(1))))
        return F.relu(self.bn2(self.conv2(self.layer2(self.layer1(x))))).flatten(1, 2)


class Mask(nn.Module):
    """Convolution over time whose output is gated by the mean of the whole and of each segment of 100 frames."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(4 * GROWTH, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(4 * GROWTH, 2 * GROWTH, 1)
        self.linear2 = nn.Conv1d(2 * GROWTH, GROWTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        segments = F.avg_pool1d(x, 100, 100, ceil_mode=True).repeat_interleave(100, dim=-1)[..., : x.shape[-1]]
        context = x.mean(-1, keepdim=True) + segments
        return self.linear_local(x) * torch.sigmoid(self.linear2(F.relu(self.linear1(context))))


class DenseLayer(nn.Module):
    """(B, C, T) -> (B, 32, T): what one layer adds to the dense block."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = norm_relu(width)
        self.linear1 = nn.Conv1d(width, 4 * GROWTH, 1, bias=False)
        self.nonlinear2 = norm_relu(4 * GROWTH)
        self.cam_layer = Mask(dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))


class DenseBlock(nn.ModuleDict):
    """Layers that each append 32 channels."""

    def __init__(self, width: int, layers: int, dilation: int) -> None:
        super().__init__({f"tdnnd{i + 1}": DenseLayer(width + i * GROWTH, dilation) for i in range(layers)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.values():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Transit(nn.Module):
    """Halves the channels between blocks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.nonlinear = norm_relu(width)
        self.linear = nn.Conv1d(width, width // 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.nonlinear(x))


class Entry(nn.Module):
    """(B, 320, T) -> (B, 128, T / 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Conv1d(320, 128, 5, 2, 2, bias=False)
        self.nonlinear = norm_relu(128)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.nonlinear(self.linear(x))


class Exit(nn.Module):
    """Mean and standard deviation over time (B, 1024, 1) -> embedding (B, 192); no ReLU at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Conv1d(1024, 192, 1, bias=False)
        self.nonlinear = norm_relu(192, affine=False, relu=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.nonlinear(self.linear(x).squeeze(-1))


class CamPlus(nn.Module):
    """Features (B, T, 80) -> embedding (B, 192)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Head()
        layers: dict[str, nn.Module] = {"tdnn": Entry()}
        width = 128
        for i, (count, dilation) in enumerate(BLOCKS, start=1):
            layers[f"block{i}"] = DenseBlock(width, count, dilation)
            width += count * GROWTH
            layers[f"transit{i}"] = Transit(width)
            width //= 2
        layers["out_nonlinear"] = norm_relu(width)
        layers["dense"] = Exit()
        self.xvector = nn.ModuleDict(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(x.transpose(1, 2))
        for name, layer in self.xvector.items():
            if name == "dense":
                x = torch.cat([x.mean(-1), x.std(-1)], dim=1).unsqueeze(-1)
            x = layer(x)
        return x
