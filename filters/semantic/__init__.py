"""Measures of meaning: does the sound belong to the picture."""
