"""What turns media latents, captions and transcripts into tokens, and tokens back into latents."""
