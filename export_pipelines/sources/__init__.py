"""Databases and files as streams of Arrow record batches."""
