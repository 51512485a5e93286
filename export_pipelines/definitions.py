"""What Dagster loads: settings -> specs -> Definitions."""

from __future__ import annotations

import gc

import dagster as dg

from export_pipelines.orchestration.loaded import load_definitions

# Modules stay for good, and definitions are many objects at once. To look for garbage among all of them every 700 new
# objects, as Python does by default, takes an eighth of the time until a thousand exports are loaded.
gc.freeze()
gc.set_threshold(50_000)


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the environment's project."""
    return load_definitions()
