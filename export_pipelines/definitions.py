"""What Dagster loads: settings -> specs -> Definitions."""

from __future__ import annotations

import dagster as dg

from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the environment's project."""
    return build_definitions(Project.load())
