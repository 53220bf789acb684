"""What is measured and who stays: measures of video, audio, sync and meaning, and the policy over them."""

import media as media  # selects torchaudio's mode beside a CPU-only torch
