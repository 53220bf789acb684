"""What every table must fulfil: contracts, checks of all rows by aggregates, drift against a baseline, Data Docs."""
