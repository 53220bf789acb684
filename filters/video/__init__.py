"""Measures of pictures: size and rate, motion, stills."""
