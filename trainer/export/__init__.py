"""Trained weights for others to use: written, checked, read back."""
