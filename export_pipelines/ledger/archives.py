"""Archives in the ledger: announced before they are written, sealed when they were read again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import archives
from export_pipelines.storage.archive_index import ArchiveIndex


@dataclass(frozen=True)
class ArchiveRow:
    """One archive: its store, the paths of its index and file, and when it was read again for the first time.

    `bytes` are those of the file; None before it is sealed.
    """

    archive_id: str
    store: str
    index_path: str
    file_path: str
    export: str
    bytes: int | None
    announced_at: datetime
    sealed_at: datetime | None


def announce(connection: Connection, row: ArchiveRow) -> None:
    """Record an archive that is about to be written, in the caller's transaction."""
    connection.execute(archives.insert().values(vars(row)))


def register(connection: Connection, index: ArchiveIndex, *, store: str, index_path: str, file_path: str) -> None:
    """Record an archive that was found in a store, if it is not known, in the caller's transaction."""
    known = select(archives.c.archive_id).where(archives.c.archive_id == index.archive_id)
    if connection.execute(known).first() is None:
        row = ArchiveRow(
            archive_id=index.archive_id,
            store=store,
            index_path=index_path,
            file_path=file_path,
            export=index.export,
            bytes=index.file.bytes,
            announced_at=index.created_at,
            sealed_at=index.created_at,
        )
        announce(connection, row)


def seal(connection: Connection, archive_id: str, *, octets: int, at: datetime) -> None:
    """Record that the archive was read again and holds what it should, in the caller's transaction."""
    values = {"bytes": octets, "sealed_at": at, "verified_at": at, "damaged_at": None}
    connection.execute(update(archives).where(archives.c.archive_id == archive_id).values(values))


def forget(connection: Connection, archive_id: str) -> None:
    """Delete the record of an archive that was never sealed, in the caller's transaction."""
    connection.execute(delete(archives).where(archives.c.archive_id == archive_id, archives.c.sealed_at.is_(None)))


def unsealed(ledger: Ledger) -> list[ArchiveRow]:
    """Archives that were announced and perhaps never written, oldest first."""
    query = select(archives).where(archives.c.sealed_at.is_(None)).order_by(archives.c.announced_at)
    with ledger.read() as connection:
        return [_archive(row) for row in connection.execute(query)]


def find(ledger: Ledger) -> list[ArchiveRow]:
    """All archives, those that are being written included."""
    with ledger.read() as connection:
        return [_archive(row) for row in connection.execute(select(archives))]


def get(ledger: Ledger, archive_id: str) -> ArchiveRow | None:
    """The archive, or None."""
    with ledger.read() as connection:
        row = connection.execute(select(archives).where(archives.c.archive_id == archive_id)).first()
        return _archive(row) if row else None


def _archive(row: Row[Any]) -> ArchiveRow:
    return ArchiveRow(*(getattr(row, name) for name in ArchiveRow.__dataclass_fields__))
