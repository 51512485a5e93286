"""The page docs/scheduling.md: each YAML block is a schedule, and the block after it what the tool prints about it."""

from __future__ import annotations

import tempfile
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from export_pipelines.cli.schedules import described, show_ticks
from export_pipelines.timing.ticks import timings
from export_pipelines.timing.upcoming import upcoming
from export_pipelines_tests.projects import project

PAGE = Path(__file__).parents[1] / "docs" / "scheduling.md"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""When the page was printed."""

CALENDARS = {"berlin": {"country": "DE", "subdivision": "BE", "extra_holidays": ["2026-12-24", "2026-12-31"]}}
_TICKS = 4


def printed(block: str) -> str:
    """The next ticks of the schedule in a YAML block, as `exports schedules` prints them.

    A comment in its first line says how the page differs from the usual: `# partition: monthly, from 2027-03-26`.
    """
    words = block.splitlines()[0].lstrip("# ").split(", from ") if block.startswith("#") else ["partition: daily"]
    after = datetime.fromisoformat(f"{words[1]}T12:00:00+00:00") if words[1:] else NOW
    entry: dict[str, Any] = {"schedule": yaml.safe_load(block)["schedule"]} | yaml.safe_load(words[0])
    with tempfile.TemporaryDirectory() as directory:
        loaded = project(Path(directory), {"report": entry}, calendars=CALENDARS)
    (timing,) = timings(loaded.specs.exports.values())
    document = described(timing, list(islice(upcoming(timing, after), _TICKS)))
    with redirect_stdout(StringIO()) as out:
        show_ticks(document["next"], document["timezone"])
    return out.getvalue()
