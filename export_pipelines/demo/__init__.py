"""The demo database that the shipped specs export: believable, related and awkward on purpose."""
