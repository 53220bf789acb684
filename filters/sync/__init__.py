"""Measures of time: does the sound happen when the picture does."""
