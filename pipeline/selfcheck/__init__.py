"""Measures against truth: what was synthesised, or labelled by hand, and how far each measure is from it."""
