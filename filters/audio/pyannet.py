"""PyanNet, the network of pyannote's segmentation-3.0 (Bredin 2023): learnt band-pass filters, LSTM, powerset output.

Written here to load the published state dict; `segmentation.py` says what it is for.
"""

import torch
from torch import nn
from torch.nn import functional as F

RATE = 16_000


class BandPass(nn.Module):
    """80 band-pass filters of 251 taps from 40 learnt edges (SincNet; Ravanelli 2018), even and odd halves."""

    window_: torch.Tensor
    n_: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.low_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.band_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.register_buffer("window_", torch.zeros(125))
        self.register_buffer("n_", torch.zeros(1, 125))

    def taps(self) -> torch.Tensor:
        """Filters (80, 1, 251), each divided by twice its bandwidth in Hz."""
        low = 50 + self.low_hz_.abs()
        high = (low + 50 + self.band_hz_.abs()).clamp(50, RATE / 2)
        band = high - low
        at_low, at_high = low @ self.n_, high @ self.n_
        scale = self.window_ / (self.n_ / 2)
        even = (at_high.sin() - at_low.sin()) * scale
        odd = (at_low.cos() - at_high.cos()) * scale
        cosine = torch.cat([even, 2 * band, even.flip(1)], dim=1)
        sine = torch.cat([odd, torch.zeros_like(band), -odd.flip(1)], dim=1)
        return (torch.cat([cosine, sine]) / (2 * torch.cat([band, band]))).unsqueeze(1)


class FilterLayer(nn.Module):
    """The band-pass bank as a convolution with stride 10: (B, 1, n) -> (B, 80, about n / 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.filterbank = BandPass()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv1d(x, self.filterbank.taps(), stride=10).abs()


class SincNet(nn.Module):
    """Waveform (B, 1, n) -> features (B, 60, frames), one each 270 samples."""

    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        self.conv1d = nn.ModuleList([FilterLayer(), nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList(nn.InstanceNorm1d(width, affine=True) for width in (80, 60, 60))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.wav_norm1d(x)
        for conv, norm in zip(self.conv1d, self.norm1d):
            x = F.leaky_relu(norm(F.max_pool1d(conv(x), 3)))
        return x


class PyanNet(nn.Module):
    """Waveform (B, 1, n) at 16 kHz -> powerset logits (B, frames, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = SincNet()
        self.lstm = nn.LSTM(60, 128, num_layers=4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, _ = self.lstm(self.sincnet(x).transpose(1, 2))
        for layer in self.linear:
            x = F.leaky_relu(layer(x))
        return self.classifier(x)
