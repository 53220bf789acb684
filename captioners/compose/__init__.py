"""The texts that the trainer reads, put together from the captions and the transcript."""
