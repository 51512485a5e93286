"""Which partitions a command means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from export_pipelines.errors import SpecError
from export_pipelines.spec.naming import ends_of
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.text import moment
from export_pipelines.timing.combining import Span, spans
from export_pipelines.timing.partitions import Window, first_key, keys_between, last_complete, window_of


def window(export: ResolvedExport, key: str) -> Window:
    """The window of one partition. Raises SpecError, with an example, if the key is not valid."""
    return window_of(export.spec.partition, key, export.timezone)


def latest(export: ResolvedExport, now: datetime) -> str:
    """The key of the last complete partition. Raises SpecError if the first one has not ended."""
    key = last_complete(export.spec.partition, now, export.timezone)
    first = first_key(export.spec.partition, export.spec.start, export.timezone)
    if _starts(export, key) < _starts(export, first):
        raise SpecError(
            f"export {export.name} begins with partition {first}, which has not ended",
            hint=f"Wait until {moment(window(export, first).end, export.timezone)}, or set an earlier `start`",
        )
    return key


def between(export: ResolvedExport, first: str, last: str | None, now: datetime) -> list[str]:
    """The keys from `first` to `last`, ascending; without `last`, to the last complete one. Raises SpecError."""
    last = last or latest(export, now)
    keys = list(keys_between(export.spec.partition, first, last, export.timezone))
    if not keys:
        raise SpecError(f"there is no partition from {first} to {last}", hint="Give the earlier one first")
    return keys


def which(export: ResolvedExport, *, partition: str | None, first: str | None, last: str | None, now: datetime) -> Span:
    """The partitions that options name: one, by default the last complete one, or several; not yet combined.

    `partition` may be several that are combined, `2026-01-01--2026-01-31`. Raises SpecError.
    """
    if partition is not None and (ends := ends_of(partition))[0] != ends[1]:
        first, last = ends
    if first is None:
        keys = [partition or latest(export, now)]
        window(export, keys[0])
    else:
        keys = between(export, first, last, now)
    return Span(tuple(keys), Window(window(export, keys[0]).start, window(export, keys[-1]).end))


def combined(export: ResolvedExport, asked: Span) -> list[Span]:
    """What each artifact holds of them."""
    kind, combine = export.spec.partition, export.spec.combine
    return list(spans(kind, combine, asked.first, asked.keys[-1], export.timezone))


def require_complete(export: ResolvedExport, keys: Sequence[str], now: datetime, *, allow_incomplete: bool) -> None:
    """Raises SpecError if a partition lies before the export's first one, or has not ended and that is not allowed."""
    first = first_key(export.spec.partition, export.spec.start, export.timezone)
    if _starts(export, keys[0]) < _starts(export, first):
        raise SpecError(
            f"partition {keys[0]} lies before the first one of export {export.name}, {first}",
            hint="Set an earlier `start` in its spec",
        )
    last = window(export, keys[-1])
    if allow_incomplete or last.end.astimezone(ZoneInfo("UTC")) <= now:
        return
    raise SpecError(
        f"partition {keys[-1]} of export {export.name} ends at {moment(last.end, export.timezone)}, "
        "so its data is not complete",
        hint="Wait until then, or publish what there is now: --allow-incomplete",
    )


def _starts(export: ResolvedExport, key: str) -> datetime:
    return window(export, key).start.astimezone(ZoneInfo("UTC"))
