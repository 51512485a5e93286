"""Exports in Dagster: the only package that imports it."""
