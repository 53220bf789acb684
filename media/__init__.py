"""What is seen and heard: the guarded ffmpeg child, probing, shots, cuts, rendering, views, synthetic clips."""

from media import cpu_torch

cpu_torch.install()
