"""Captions of sound and of picture."""
