"""Kinds of events, and the level that decides who hears of them."""

from __future__ import annotations

from typing import Literal

from export_pipelines.spec.recipients import Level

Kind = Literal[
    "succeeded",
    "skipped",
    "empty",
    "failed",
    "interrupted",
    "check_failed",
    "late",
    "given_up",
    "recovered",
    "escalated",
    "quarantined",
    "damaged",
    "tick_failed",
    "job_failed",
    "cleanup",
    "daily_summary",
    "weekly_report",
    "test",
]

LEVELS: dict[Kind, Level] = {
    "succeeded": "success",
    "skipped": "success",
    "empty": "warning",
    "failed": "failure",
    "interrupted": "warning",
    "check_failed": "warning",
    "late": "failure",
    "given_up": "failure",
    "recovered": "failure",
    "escalated": "failure",
    "quarantined": "failure",
    "damaged": "failure",
    "tick_failed": "failure",
    "job_failed": "failure",
    "cleanup": "cleanup",
    "daily_summary": "digest",
    "weekly_report": "digest",
    "test": "success",
}
"""Kind -> its level, unless whoever records the event says otherwise: a blocking check that fails is a failure."""
