"""What ticks asked for and nobody has made: noted in the ledger, and decided without Dagster."""
