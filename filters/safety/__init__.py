"""What must not be shown to a model, or by it."""
