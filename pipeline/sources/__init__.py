"""Where raw videos come from."""
