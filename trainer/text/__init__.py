"""What captions and transcripts become before the model sees them."""
