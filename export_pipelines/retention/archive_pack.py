"""Members written into a zip or tar archive, front to back.

Every member is a regular file, mode 0600, without an owner. A zip stores data that is compressed already as it is.
Levels are chosen for speed: level 6 of zlib takes four times as long as level 1, and saves 5 % of the original size.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from export_pipelines.spec.retention import ArchiveFormat

if TYPE_CHECKING:  # imports pyarrow, which a plan does without
    from export_pipelines.formats.base import Sink

_MODE = 0o600
_ZIP_LEVEL = 1
_UNIX = 3
_COMPRESSED = (".parquet", ".xlsx", ".pdf", ".gz", ".zip", ".zst")
_FIRST_ZIP_YEAR, _LAST_ZIP_YEAR = 1980, 2107
_COMPRESSIONS: dict[ArchiveFormat, Literal["gzip", "zstd"]] = {"tar.gz": "gzip", "tar.zst": "zstd"}


class Packer(Protocol):
    """An archive that is being written."""

    def add(self, path: str, data: Iterable[bytes], *, size: int, modified_at: datetime) -> None:
        """Append a member of exactly `size` bytes, which come in pieces."""


@contextmanager
def open_packer(format: ArchiveFormat, file: BinaryIO) -> Iterator[Packer]:
    """An archive that is written to the empty, seekable `file`, and complete at the end of the block."""
    if format == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            yield _ZipPacker(archive)
        return
    from export_pipelines.formats.sink import FileSink, compressed

    sink = compressed(FileSink(file), _COMPRESSIONS[format], "")
    packer = _TarPacker(sink)
    yield packer
    packer.end()
    sink.finish()


class _ZipPacker:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def add(self, path: str, data: Iterable[bytes], *, size: int, modified_at: datetime) -> None:
        member = zipfile.ZipInfo(path, _zip_time(modified_at))
        member.create_system = _UNIX
        member.external_attr = (stat.S_IFREG | _MODE) << 16
        member.file_size = size  # tells zipfile whether 64 bits are needed
        if not path.endswith(_COMPRESSED):
            member.compress_type = zipfile.ZIP_DEFLATED
            member._compresslevel = _ZIP_LEVEL  # type: ignore[attr-defined]  # `open` has no parameter for it
        with self._archive.open(member, "w") as out:
            for chunk in data:
                out.write(chunk)


class _TarPacker:
    """GNU tar: names of any length, sizes above 8 GB, and nothing else that a header could say."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._written = 0

    def add(self, path: str, data: Iterable[bytes], *, size: int, modified_at: datetime) -> None:
        member = tarfile.TarInfo(path)
        member.size, member.mode = size, _MODE
        member.mtime = max(0, int(modified_at.timestamp()))
        self._write(member.tobuf(tarfile.GNU_FORMAT, "ascii", "strict"))
        for chunk in data:
            self._write(chunk)
        self._pad(tarfile.BLOCKSIZE)

    def end(self) -> None:
        """Write the blocks that end the archive."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._pad(tarfile.RECORDSIZE)

    def _pad(self, unit: int) -> None:
        self._write(bytes(-self._written % unit))

    def _write(self, data: bytes) -> None:
        self._written += self._sink.write(data)


def _zip_time(instant: datetime) -> tuple[int, int, int, int, int, int]:
    """The instant in UTC, within the years that a zip can tell."""
    moment = instant.astimezone(UTC)
    if moment.year < _FIRST_ZIP_YEAR:
        return _FIRST_ZIP_YEAR, 1, 1, 0, 0, 0
    if moment.year > _LAST_ZIP_YEAR:
        return _LAST_ZIP_YEAR, 12, 31, 23, 59, 58
    return moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second
