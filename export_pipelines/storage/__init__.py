"""Stores: where artifacts are published."""
