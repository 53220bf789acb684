"""The clocks of the latents: how frames, audio samples and seconds map to video and audio latents.

Video: 24 frames/s, causal, 8 frames a latent after the first: latent 0 is frame 0 alone, latent k >= 1 is frames
8k - 7 .. 8k, so F = 8k + 1 frames make k + 1 latents (3 a second). Audio: 44,100 Hz, 1,024 samples a latent (43.07 a
second). These are the paper's rates (section 5.1) and the project's fixed frame of reference.
"""

VIDEO_FPS = 24
FRAMES_PER_LATENT = 8
AUDIO_RATE = 44_100
AUDIO_HOP = 1024


def video_frames(latents: int) -> int:
    """Frames that `latents` video latents decode to; 0 for 0."""
    return FRAMES_PER_LATENT * (latents - 1) + 1 if latents > 0 else 0


def video_latents_for(duration_s: float) -> int:
    """Video latents of a clip of this duration in seconds: the nearest F = 8k + 1 at 24 fps, at least 1 latent."""
    return max(1, 1 + round((duration_s * VIDEO_FPS - 1) / FRAMES_PER_LATENT))


def audio_latents_for(duration_s: float) -> int:
    """Audio latents that cover this duration in seconds, at least 1."""
    return max(1, round(duration_s * AUDIO_RATE / AUDIO_HOP))


def audio_duration_s(latents: int) -> float:
    """Seconds of sound in `latents` audio latents."""
    return latents * AUDIO_HOP / AUDIO_RATE


def video_latent_ticks(latent: int) -> float:
    """Centre time of a video latent in audio ticks (1,024 / 44,100 s): 0 for latent 0, then (8k - 3.5) / 24 s."""
    seconds = 0.0 if latent == 0 else (FRAMES_PER_LATENT * latent - 3.5) / VIDEO_FPS
    return seconds * AUDIO_RATE / AUDIO_HOP
