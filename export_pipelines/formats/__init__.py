"""Streaming writers: record batches in, bytes of one file out."""
