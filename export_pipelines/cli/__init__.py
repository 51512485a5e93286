"""The `exports` command."""
