"""How far the exports of a dataset got, and what that leaves to a partition. It all follows from the artifacts.

Only good, complete artifacts count, and of a partition its newest one, whether or not its files are still there. A
watermark of another column, or of another kind of values than `initial`, is another chain and does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts
from export_pipelines.sources.bounds import Bounds, from_text, kind_of, kind_of_type
from export_pipelines.spec.watermark import MarkValue, WatermarkSpec
from export_pipelines.storage.manifest import Manifest, Watermark, parse_manifest
from export_pipelines.timing.partitions import Window

Wanted = Mapping[str, WatermarkSpec]
"""Dataset -> its watermark."""

_PAGE = 10


@dataclass(frozen=True)
class Mark:
    """What one partition holds of a dataset, and the artifact that says so."""

    partition: str
    artifact_id: str
    watermark: Watermark


def bounds(ledger: Ledger, export: str, wanted: Wanted, *, partition: str, window: Window) -> dict[str, Bounds]:
    """Dataset -> what a run of the partition exports of it: what is above the last earlier partition, below the next.

    To be trusted only by who has the lease of the whole export. Raises LedgerUnavailableError.
    """
    with ledger.read() as connection:
        others = (artifacts.c.export == export, artifacts.c.partition != partition)
        earlier = _marks(connection, wanted, *others, _earlier(window), backwards=True)
        later = _marks(connection, wanted, *others, _later(window), backwards=False)
    return {name: _bounds(mark, earlier.get(name), later.get(name)) for name, mark in wanted.items()}


def current(ledger: Ledger, export: str, wanted: Wanted) -> dict[str, Mark]:
    """Dataset -> the mark of the latest partition that has one. Raises LedgerUnavailableError."""
    with ledger.read() as connection:
        return _marks(connection, wanted, artifacts.c.export == export, backwards=True)


def _bounds(spec: WatermarkSpec, earlier: Mark | None, later: Mark | None) -> Bounds:
    after, until = spec.initial, None
    if earlier is not None and earlier.watermark.up_to is not None:
        after = _value(earlier.watermark, earlier.watermark.up_to)
    else:
        earlier = None
    if later is not None and later.watermark.after is not None:
        until = _value(later.watermark, later.watermark.after)
    return Bounds(
        column=spec.column,
        initial=spec.initial,
        after=after,
        until=until,
        nothing=later is not None and until is None,  # that one began with the first row there is
        since=earlier.partition if earlier else "",
        before=later.partition if later else "",
    )


def _value(mark: Watermark, text: str) -> MarkValue:
    return from_text(text, mark.type)


def _earlier(window: Window) -> ColumnElement[bool]:
    """Partitions before the one of this window; of two that begin together, the shorter one is before."""
    (start, end), c = window.utc(), artifacts.c
    return or_(c.window_start < start, and_(c.window_start == start, c.window_end < end))


def _later(window: Window) -> ColumnElement[bool]:
    (start, end), c = window.utc(), artifacts.c
    return or_(c.window_start > start, and_(c.window_start == start, c.window_end > end))


def _marks(connection: Connection, wanted: Wanted, *where: ColumnElement[bool], backwards: bool) -> dict[str, Mark]:
    """Dataset -> the mark of the first partition that has one, from the latest on or from the earliest."""
    found: dict[str, Mark] = {}
    seen: set[str] = set()
    for row in _rows(connection, *where, backwards=backwards):
        if row.partition in seen:
            continue
        seen.add(row.partition)
        manifest = parse_manifest(row.manifest.encode(), where=f"{row.artifact_id} in the ledger")
        found = {**_of(manifest, wanted), **found}
        if len(found) == len(wanted):
            break
    return found


def _of(manifest: Manifest, wanted: Wanted) -> dict[str, Mark]:
    marks = {name: manifest.watermarks[name] for name in wanted if name in manifest.watermarks}
    return {
        name: Mark(manifest.partition, manifest.artifact_id, mark)
        for name, mark in marks.items()
        if _continues(mark, wanted[name])
    }


def _continues(mark: Watermark, spec: WatermarkSpec) -> bool:
    kind = kind_of_type(mark.type)
    if mark.column != spec.column or kind is None:
        return False
    return spec.initial is None or (kind == "number") == (kind_of(spec.initial) == "number")


def _rows(connection: Connection, *where: ColumnElement[bool], backwards: bool) -> Iterator[Row[Any, Any, Any]]:
    """Artifacts that count, the newest of a partition first; read in pages, because nearly always the first is it."""
    c = artifacts.c
    order = [c.window_start, c.window_end]
    query = select(c.artifact_id, c.partition, c.manifest).where(*where, c.good, c.row_limit.is_(None))
    query = query.order_by(*(column.desc() if backwards else column for column in order))
    query = query.order_by(c.partition, c.created_at.desc(), c.artifact_id)
    offset = 0
    while rows := connection.execute(query.limit(_PAGE).offset(offset)).all():
        yield from rows
        offset += _PAGE
