"""Cron, ticks, partitions and their windows: pure functions; `now` is a parameter."""
