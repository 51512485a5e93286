"""Small projects for tests: a SQLite database, specs, a store and a ledger below one directory."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import yaml

from export_pipelines.project import Project
from export_pipelines.settings import Settings, load_settings

STUDENTS = """
create table students (id integer primary key, name text, status text, balance decimal(12,2), born date,
                       seen_at timestamptz, active boolean);
insert into students values
  (1, 'Ann O''Neil', 'active', 12.50, '2001-02-03', '2026-01-05 10:00:00+00:00', 1),
  (2, 'Zoë Müller', 'active', -0.05, null, '2026-01-05 23:59:59+00:00', 0),
  (3, '=1+1', 'left', null, '1999-12-31', '2026-01-06 00:00:00+00:00', 1),
  (4, '', null, 1000000.00, '2000-01-01', null, null);
create table grades (student_id integer, course text, score decimal(5,2), graded_at timestamptz);
insert into grades values (1, 'Μαθηματικά', 1.3, '2026-01-05 08:00:00+00:00'), (2, '数学', 2.7, '2026-01-06 08:00:00+00:00');
"""

EXPORT: dict[str, Any] = {
    "source": "school",
    "datasets": {"students": {"table": "students", "order_by": ["id"]}},
    "formats": ["csv"],
}


def environment(root: Path, **extra: str) -> dict[str, str]:
    """Environment variables that keep everything below `root`."""
    return {
        "EXPORT_SPECS": str(root / "specs"),
        "EXPORT_STORAGE_PATH": str(root / "out"),
        "EXPORT_STATE_PATH": str(root / "state"),
        "EXPORT_LEASE_WAIT_SECONDS": "30",
        "EXPORT_DISK_WARN_PERCENT": "0.001",  # the disk of the tests may well be nearly full
        **extra,
    }


def write_project(
    root: Path, exports: dict[str, Any], *, environ: dict[str, str] | None = None, **sections: Any
) -> Settings:
    """Create the database, the spec file and the settings of a project; entries are merged over EXPORT."""
    database = root / "school.db"
    if not database.exists():
        with sqlite3.connect(database) as connection:
            connection.executescript(STUDENTS)
        connection.close()
    document = {
        "connections": {"school": {"url": f"sqlite:///{database}"}},
        **sections,
        "exports": {name: {**EXPORT, **entry} for name, entry in exports.items()},
    }
    specs = root / "specs"
    specs.mkdir(exist_ok=True)
    (specs / "test.yaml").write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    return load_settings(environ or environment(root))


def project(root: Path, exports: dict[str, Any], **sections: Any) -> Project:
    """A project whose specs have no mistakes."""
    loaded = Project.load(write_project(root, exports, **sections))
    loaded.specs.require_valid()
    return loaded


def published_files(root: Path) -> dict[str, bytes]:
    """Every file below the store's root, hidden ones too: path -> bytes."""
    store = root / "out"
    return {p.relative_to(store).as_posix(): p.read_bytes() for p in sorted(store.rglob("*")) if not p.is_dir()}
