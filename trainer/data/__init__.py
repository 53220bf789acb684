"""What the trainer eats: latents of shards, their streaming order, and the mixture over capabilities."""
