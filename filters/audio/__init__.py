"""Measures of sound: class, loudness, silence, fidelity, speech quality, voices."""
