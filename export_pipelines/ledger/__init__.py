"""What was produced, by whom and when: a small SQL database, and the leases that keep publishers apart."""
