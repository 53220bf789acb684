"""How noise becomes latents: the rule of a step, and the passes of the model that it needs."""
