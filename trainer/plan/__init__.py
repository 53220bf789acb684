"""Will it fit, and how long will it take: a run on GPUs that need not be there."""
