"""metrics.jsonl: one line of JSON for every attempt that ended, for log shippers and spreadsheets."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from export_pipelines.ledger.runs import RunRow
from export_pipelines.settings import Settings

_log = logging.getLogger(__name__)
_OFF = "off"
_LOCK_PAUSE_SECONDS = 0.002


@dataclass(frozen=True)
class MetricsFile:
    """A file that many processes append to. Beyond `max_bytes` it becomes `NAME.1`, and `NAME.1` becomes `NAME.2`."""

    path: Path
    max_bytes: int = 10_000_000
    keep: int = 5
    """How many old ones there are at most."""
    wait_seconds: float = 10
    """How long a writer waits for the others."""

    @classmethod
    def from_settings(cls, settings: Settings) -> MetricsFile | None:
        """The file of EXPORT_METRICS_FILE; None if that is `off`. Raises ConfigurationError if the limit is no size."""
        path = settings.get("EXPORT_METRICS_FILE")
        if path.strip().lower() == _OFF:
            return None
        return cls(Path(path), int(settings.number("EXPORT_METRICS_MAX_BYTES")))

    def append(self, attempt: RunRow) -> None:
        """Add one line. What prevents it is logged: the record of a result never changes the result."""
        line = (
            json.dumps(metrics(attempt), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        )
        try:
            with self._locked():
                self._make_room(len(line))
                self._write(line)
        except OSError as error:
            _log.warning("writing the metrics of export %s to %s: %s", attempt.export, self.path, error)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all processes. Raises TimeoutError rather than wait for ever for one that was stopped."""
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + self.wait_seconds
            while not _try_lock(lock):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process has kept the lock for {self.wait_seconds:g} seconds")
                time.sleep(_LOCK_PAUSE_SECONDS)
            yield
        finally:
            os.close(lock)

    def _make_room(self, size: int) -> None:
        with suppress(FileNotFoundError):
            there = self.path.stat().st_size
            if there and there + size > self.max_bytes:
                for number in range(self.keep, 0, -1):
                    with suppress(FileNotFoundError):
                        self._numbered(number - 1).replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _write(self, line: bytes) -> None:
        """One write, so that readers never see half a line; where the disk is full, none at all."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(file).st_size
            written = os.write(file, line)
            if written < len(line):
                os.ftruncate(file, before)
                raise OSError(f"only {written} of {len(line)} bytes fit on the disk")
        finally:
            os.close(file)


def metrics(attempt: RunRow) -> dict[str, Any]:
    """The line of one attempt. Rows and bytes are what it published: 0 unless its status is `published`."""
    rows, size, seconds = attempt.rows or 0, attempt.bytes or 0, attempt.seconds
    return {
        "export_id": attempt.export_id,
        "export_type": attempt.export,
        "export_format": attempt.formats,
        "start_time": _iso(attempt.started_at),
        "end_time": _iso(attempt.finished_at),
        "total_records": rows,
        "total_duration_seconds": None if seconds is None else round(seconds, 3),
        "records_per_second": round(rows / seconds, 1) if rows and seconds else None,
        "file_size_bytes": size,
        "file_size_mb": round(size / 1_000_000, 3),
        "status": attempt.state,
        "error_message": None if attempt.state == "skipped" else attempt.error,
    }


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _iso(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z") if instant else None
