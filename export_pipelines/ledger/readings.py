"""When files were last read again: what is still unread for how long, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, String, Table, cast, func, select, update

from export_pipelines.chunks import chunks
from export_pipelines.errors import DamagedArtifactError
from export_pipelines.ledger.archives import ArchiveRow
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.coverage import of_span, within
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import archives, artifacts, deletions, events
from export_pipelines.spec.naming import span_of
from export_pipelines.storage.manifest import parse_manifest

What = Literal["artifact", "archive"]
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=1)
"""When something was made whose date cannot be read."""


@dataclass(frozen=True, slots=True)
class Unread:
    """One artifact or sealed archive. `read_at` is when it was last found as it was written, or else when it was."""

    what: What
    id: str
    store: str
    bytes: int
    read_at: datetime
    damaged: bool = False


@dataclass(frozen=True)
class Integrity:
    """How the files stand: how many artifacts and archives are damaged, and since when the longest unread is unread.

    `damaged` is a few of the damaged artifacts as (export, partition), the longest known first.
    """

    artifacts: int = 0
    archives: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)
    unread_since: datetime | None = None


def unread(ledger: Ledger) -> list[Unread]:
    """All artifacts whose files are there, and all sealed archives, in no order."""
    with ledger.read() as connection:
        return [item for what in _TABLES for item in _items(connection, what, _live(what))]


def newest(ledger: Ledger, exports: Iterable[str], *, partition: str | None = None) -> list[Unread]:
    """The newest artifact of each export, or of this partition of it, whose files are there; not all have one."""
    c = artifacts.c
    query = _live("artifact").order_by(c.created_at.desc(), c.artifact_id).limit(1)
    with ledger.read() as connection:
        return [
            item
            for name in exports
            for item in _items(
                connection,
                "artifact",
                query.where(c.export == name if partition is None else of_span(artifacts, [name], partition)),
            )
        ]


def had_damage(ledger: Ledger, export: str, partition: str, last_partition: str | None = None) -> bool:
    """Whether an artifact of the partition, published now or earlier, is damaged or once was and was notified.

    With `last_partition`, of any from `partition` to that one. Where the partition has one artifact that is sound, as
    most have, this reads one row by its index.
    """
    concerned = within(artifacts, export, partition, last_partition or partition)
    query = select(artifacts.c.damaged_at, artifacts.c.partition, artifacts.c.last_partition).where(concerned)
    with ledger.read() as connection:
        found = connection.execute(query).all()
        damaged = any(row.damaged_at for row in found)
        if damaged or len(found) < 2:
            return damaged
        spans = sorted({span_of(row.partition, row.last_partition) for row in found})
        told = (_told.where(events.c.export == export, events.c.partition.in_(some)).limit(1) for some in chunks(spans))
        return any(connection.execute(query).first() is not None for query in told)


def notified(ledger: Ledger) -> set[tuple[str, str]]:
    """(export, partition) of which damage was notified, repaired since or not."""
    with ledger.read() as connection:
        return {(row.export, row.partition) for row in connection.execute(_told.distinct())}


def rows(ledger: Ledger, ids: Sequence[str]) -> dict[str, ArtifactRow | DamagedArtifactError]:
    """Id -> the artifact, or why its manifest in the ledger cannot be read."""
    found: dict[str, ArtifactRow | DamagedArtifactError] = {}
    with ledger.read() as connection:
        for chunk in chunks(ids):
            for row in connection.execute(select(artifacts).where(artifacts.c.artifact_id.in_(chunk))):
                try:
                    manifest = parse_manifest(row.manifest.encode(), where=f"{row.artifact_id} in the ledger")
                except DamagedArtifactError as error:
                    found[row.artifact_id] = error
                else:
                    found[row.artifact_id] = ArtifactRow(
                        row.store, row.manifest_path, manifest, row.good, row.deleted_at
                    )
    return found


def archive_rows(ledger: Ledger) -> list[ArchiveRow]:
    """All archives, those that are being written included."""
    names = ArchiveRow.__dataclass_fields__
    with ledger.read() as connection:
        return [ArchiveRow(*(getattr(row, name) for name in names)) for row in connection.execute(select(archives))]


def leaving(ledger: Ledger, ids: Sequence[str]) -> set[str]:
    """Those of the artifacts that are deleted, or are being deleted: their files may well be missing."""
    found: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunks(ids):
            gone = (artifacts.c.artifact_id.in_(chunk), artifacts.c.deleted_at.is_not(None))
            going = (deletions.c.artifact_id.in_(chunk), deletions.c.outcome.is_(None))
            found.update(connection.execute(select(artifacts.c.artifact_id).where(*gone)).scalars())
            found.update(connection.execute(select(deletions.c.artifact_id).where(*going)).scalars())
    return found


def record(ledger: Ledger, now: datetime, *, artifacts: Mapping[str, bool], archives: Mapping[str, bool]) -> None:
    """Record what was read: id -> whether it is as it was written. Damage keeps the time when it was first found."""
    if artifacts or archives:
        with ledger.write() as connection:
            _record(connection, "artifact", artifacts, now)
            _record(connection, "archive", archives, now)


def integrity(ledger: Ledger, *, named: int = 3) -> Integrity:
    """How the files stand; `named` is how many damaged artifacts are named at most."""
    c, numbers, oldest = artifacts.c, [], []
    with ledger.read() as connection:
        for table, made, live in (_TABLES["artifact"], _TABLES["archive"]):
            read_at = func.min(func.coalesce(table.c.verified_at, made))
            row = connection.execute(select(func.count(table.c.damaged_at), read_at).where(live)).one()
            numbers.append(row[0])
            oldest += [row[1]] if row[1] else []
        first = select(c.export, c.partition, c.last_partition).where(c.deleted_at.is_(None), c.damaged_at.is_not(None))
        first = first.order_by(c.damaged_at, c.artifact_id).limit(named)
        named_ = connection.execute(first).all() if numbers[0] else []
        names = [(row.export, span_of(row.partition, row.last_partition)) for row in named_]
    return Integrity(numbers[0], numbers[1], names, min(oldest, default=None))


_TABLES: dict[What, tuple[Table, ColumnElement[Any], ColumnElement[bool]]] = {
    "artifact": (artifacts, artifacts.c.created_at, artifacts.c.deleted_at.is_(None)),
    "archive": (archives, archives.c.sealed_at, archives.c.sealed_at.is_not(None)),
}
"""The table, when its files were written, and which of its rows have files."""


_told = select(events.c.export, events.c.partition).where(events.c.kind == "damaged", events.c.partition.is_not(None))


def _live(what: What) -> Select[Any]:
    """Those whose files are there, as `_items` wants them."""
    table, made, live = _TABLES[what]
    c = table.c
    # As text, because one date that cannot be read must not keep all other files from being read.
    read_at = cast(func.coalesce(c.verified_at, made), String)
    return select(c[f"{what}_id"], c.store, func.coalesce(c.bytes, 0), read_at, c.damaged_at.is_not(None)).where(live)


def _items(connection: Connection, what: What, query: Select[Any]) -> Iterator[Unread]:
    for key, store, octets, text, damaged in connection.execute(query):
        yield Unread(what, key, store, octets, _instant(text), bool(damaged))


def _record(connection: Connection, what: What, found: Mapping[str, bool], now: datetime) -> None:
    table, _, _ = _TABLES[what]
    key, damaged_at = table.c[f"{what}_id"], table.c.damaged_at
    for chunk in chunks([ident for ident, sound in found.items() if sound]):
        connection.execute(update(table).where(key.in_(chunk)).values(verified_at=now, damaged_at=None))
    for chunk in chunks([ident for ident, sound in found.items() if not sound]):
        connection.execute(update(table).where(key.in_(chunk), damaged_at.is_(None)).values(damaged_at=now))


def _instant(text: str) -> datetime:
    """The instant that the database keeps in UTC, without an offset."""
    try:
        return datetime.fromisoformat(f"{text}+00:00")
    except ValueError:
        return LONG_AGO
