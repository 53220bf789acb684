"""What a run tells while it trains: numbers, tables, curves, profiles."""
