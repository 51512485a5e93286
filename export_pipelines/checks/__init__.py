"""Whether the rows that were written are what the spec expects: measured while writing, judged before publishing."""
