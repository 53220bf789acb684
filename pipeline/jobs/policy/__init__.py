"""What a policy does, what it would do with other thresholds, and what people think of it: questions, no model runs."""
