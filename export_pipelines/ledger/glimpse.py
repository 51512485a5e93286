"""What `exports list` shows of a ledger in SQLite, read without SQLAlchemy, whose import takes longer than all else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from export_pipelines.ledger.version import VERSION

_PREFIX = "sqlite:///"
_NEWEST = """
select export, coalesce(last_partition, partition), max(window_end) from export_artifacts group by export
"""  # beside max(), SQLite gives columns of the row that has it


@dataclass(frozen=True)
class Glimpse:
    """`newest` is what `artifacts.newest_partitions` finds; `paused` is whether anything may be paused."""

    newest: dict[str, str]
    paused: bool


def glimpse(url: str) -> Glimpse | None:
    """What the ledger holds; None if it is not a SQLite file of this version that can be read now.

    Then `Ledger` is to be asked, which creates it, brings it up to date, waits for it or says what is wrong.
    """
    path = Path(url.removeprefix(_PREFIX))
    if not url.startswith(_PREFIX) or set("?%#") & set(url) or not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("select version from export_ledger_version").fetchall() != [(VERSION,)]:
                return None
            newest = {export: partition for export, partition, _ in connection.execute(_NEWEST)}
            paused = connection.execute("select 1 from export_pauses where ended_at is null limit 1").fetchone()
    except sqlite3.Error:
        return None
    return Glimpse(newest, paused is not None)
