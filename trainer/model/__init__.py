"""The model: a single-tower MM-DiT over four token streams. It knows no device, no data set and no parallelism."""
