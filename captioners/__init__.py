"""What is written: separation, transcripts, captions, and the texts the trainer reads."""

import media as media  # selects torchaudio's mode beside a CPU-only torch
