"""What is estimated of the people who speak."""
