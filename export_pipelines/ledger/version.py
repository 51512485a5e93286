"""The version of the ledger's tables."""

VERSION = 6
