"""Names of directories and files: path templates with allow-listed placeholders."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from string import Formatter

from export_pipelines.errors import UnsafePathError

PLACEHOLDERS = {
    "export": "Name of the export.",
    "partition": (
        "Partition key; an hourly one without `:`, such as `2026-01-31-1300`. The first and the last one where several "
        "are combined: `2026-01-01--2026-01-31`."
    ),
    "org": "The export's `org`.",
    "stamp": "When the run began, `YYYYMMDD_HHMMSS` in UTC.",
    "run8": "First eight characters of the run's id.",
    "run_id": "The run's id.",
    "year": "Year of the first day of the window, in the schedule's timezone.",
    "month": "Its month, two digits.",
    "day": "Its day, two digits.",
}
"""What a path template may use -> what it stands for."""
DEFAULT_PATHS = {"artifact": "{partition}/{export}/{stamp}_{run8}", "flat": ""}
MANIFEST_NAME = "metadata.json"

_TO = "--"
_SEGMENT = re.compile(r"[A-Za-z0-9_=][A-Za-z0-9_.=-]{0,199}")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}


def check_path_template(template: str) -> str:
    """The template, if every path it can make stays inside the root. Raises ValueError otherwise."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"path template {template!r}: {error}") from None
    for _, field, spec, conversion in parsed:
        if field is not None and (field not in PLACEHOLDERS or spec or conversion):
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"path template {template!r}: unknown placeholder {{{field}}}; known: {known}")
    sample = template.format(**dict.fromkeys(PLACEHOLDERS, "x"))
    try:
        check_path(sample) if sample else None
    except UnsafePathError as error:
        raise ValueError(str(error)) from None
    return template


def is_reserved(segment: str) -> bool:
    """Whether Windows takes the name for a device, with any extension: `con`, `nul.csv`, `com1`."""
    return segment.partition(".")[0].lower() in _DEVICES


def check_path(path: str) -> str:
    """The relative path, if each segment is a plain name. Raises UnsafePathError otherwise.

    Plain: ASCII letters, digits and `_ - . =`, not beginning with `.` or `-`, not a device name of Windows, 200
    characters at most.
    """
    for segment in path.split("/"):
        if not _SEGMENT.fullmatch(segment) or segment.endswith(".") or is_reserved(segment):
            raise UnsafePathError(
                f"path {path!r}: {segment!r} is not a safe name",
                hint="Use letters, digits, `_`, `-`, `.`, `=` and single slashes between names",
            )
    return path


def safe_partition(key: str) -> str:
    """A partition key as a path segment: `2026-10-25-02:00+0100` becomes `2026-10-25-0200p0100`.

    Raises UnsafePathError if the key holds anything but letters, digits and `_-.:+`.
    """
    if "/" in key:
        raise UnsafePathError(f"partition {key!r} holds a slash", hint="Use a key such as 2026-01-31")
    return check_path(key.replace(":", "").replace("+", "p"))


def span_of(first: str, last: str | None) -> str:
    """The partitions of an artifact: a key, or of several that are combined the ends, `2026-01-01--2026-01-31`."""
    return first if last is None else f"{first}{_TO}{last}"


def ends_of(span: str) -> tuple[str, str]:
    """The first and the last partition of what `span_of` gives; twice the same of a single one."""
    first, _, last = span.partition(_TO)
    return first, last or first


def stamp(instant: datetime) -> str:
    """An instant as `YYYYMMDD_HHMMSS` in UTC."""
    return instant.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
