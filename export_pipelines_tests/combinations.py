"""An export whose days are combined, for tests: a table with one row for each day of 2026."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MONTHLY: dict[str, Any] = {
    "datasets": {
        "days": {"sql": "select * from days where day >= :window_start_date and day < :window_end_date order by day"}
    },
    "combine": "month",
}


def fill(root: Path) -> None:
    """Make the table, in the database of the project."""
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute("create table days (day date, number integer)")
        connection.execute(
            "with recursive d(n) as (select 0 union all select n + 1 from d where n < 364) "
            "insert into days select date('2026-01-01', n || ' days'), n from d"
        )
    connection.close()


def days_in(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """The days in the CSV file among these files of an artifact, each with its `path`."""
    path = next(file["path"] for file in files if file["path"].endswith(".csv"))
    return [row["day"] for row in csv.DictReader(io.StringIO(Path(path).read_text()))]
