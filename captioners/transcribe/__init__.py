"""Speech to text: the recogniser, the hallucination guard, word error rate."""
