"""What to keep and what may be deleted."""
