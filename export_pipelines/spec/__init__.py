"""The spec language: models, loader, names."""
