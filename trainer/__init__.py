"""What is learned: the joint audio-video diffusion transformer, its codecs, data, curriculum and samples."""

import media as media  # selects torchaudio's mode beside a CPU-only torch
