"""Scheduled, governed, re-sendable file exports on Dagster."""

__version__ = "0.1.0"
