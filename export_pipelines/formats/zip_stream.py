"""A zip archive written front to back to a sink that cannot seek, deflated with ISA-L."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from isal import isal_zlib

from export_pipelines.errors import FormatError
from export_pipelines.formats.base import Sink

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION = 20  # the zip version that knows deflate
_LATER = 0x08  # flag: sizes and checksum follow the data
_DEFLATED = 8
_TIME, _DATE = 0, 0x21  # 1980-01-01 00:00, so that equal rows give equal bytes
_BLOCK = 1 << 18  # bytes deflated at a time; fixed, because ISA-L's output depends on how its input is cut
_LEVEL = 2


@dataclass(kw_only=True)
class _Entry:
    name: bytes
    offset: int
    flags: int = 0
    crc: int = 0
    size: int = 0
    packed: int = 0

    def local(self) -> bytes:
        sizes = (0, 0, 0) if self.flags else (self.crc, self.packed, self.size)
        kind = (_VERSION, self.flags, _DEFLATED, _TIME, _DATE)
        return _LOCAL.pack(b"PK\3\4", *kind, *sizes, len(self.name), 0) + self.name

    def central(self) -> bytes:
        kind = (_VERSION, _VERSION, self.flags, _DEFLATED, _TIME, _DATE)
        sizes = (self.crc, self.packed, self.size)
        return _CENTRAL.pack(b"PK\1\2", *kind, *sizes, len(self.name), 0, 0, 0, 0, 0, self.offset) + self.name


class ZipStream:
    """Writes entries one after the other: `add` for small ones, `begin`, `write`, `finish` for long ones, then `close`.

    Bytes depend on the content only. An entry and the archive hold less than `limit` bytes each: the 64-bit
    extension is left out on purpose, because Excel refuses most forms of it.
    """

    limit = 2**32 - 1

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._entries: list[_Entry] = []
        self._written = 0
        self._pending = bytearray()
        self._deflate = self._deflater()

    @property
    def entry_bytes(self) -> int:
        """Bytes given to the current entry so far, before compression."""
        return self._entries[-1].size + len(self._pending)

    def add(self, name: str, data: bytes) -> None:
        """Write an entry whose bytes are all known. Raises FormatError if the archive grows too large."""
        deflate = self._deflater()
        packed = deflate.compress(data) + deflate.flush()
        entry = _Entry(
            name=name.encode(), offset=self._written, crc=isal_zlib.crc32(data), size=len(data), packed=len(packed)
        )
        self._entries.append(entry)
        self._emit(entry.local())
        self._emit(packed)

    def begin(self, name: str) -> None:
        """Start an entry whose bytes come with `write`."""
        self._entries.append(_Entry(name=name.encode(), offset=self._written, flags=_LATER))
        self._deflate = self._deflater()
        self._emit(self._entries[-1].local())

    def write(self, data: bytes | memoryview) -> None:
        """Append to the entry that `begin` started. Raises FormatError if it or the archive grows too large."""
        self._pending += data
        whole = len(self._pending) - len(self._pending) % _BLOCK
        if whole:
            with memoryview(self._pending) as view:
                for start in range(0, whole, _BLOCK):
                    self._pack(view[start : start + _BLOCK])
            del self._pending[:whole]

    def finish(self) -> None:
        """End the entry that `begin` started."""
        self._pack(self._pending)
        self._pending = bytearray()
        self._emit_packed(self._deflate.flush())
        entry = self._entries[-1]
        self._emit(_DESCRIPTOR.pack(b"PK\7\10", entry.crc, entry.packed, entry.size))

    def close(self) -> None:
        """Write the directory of entries, which ends the archive."""
        start, count = self._written, len(self._entries)
        for entry in self._entries:
            self._emit(entry.central())
        self._emit(_END.pack(b"PK\5\6", 0, 0, count, count, self._written - start, start, 0))

    @staticmethod
    def _deflater() -> isal_zlib.Compress:
        return isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)

    def _pack(self, data: bytearray | memoryview) -> None:
        entry = self._entries[-1]
        entry.size += len(data)
        if entry.size > self.limit:
            self._refuse(f"its part {entry.name.decode()}")
        entry.crc = isal_zlib.crc32(data, entry.crc)
        self._emit_packed(self._deflate.compress(data))

    def _emit_packed(self, data: bytes) -> None:
        self._entries[-1].packed += len(data)
        self._emit(data)

    def _emit(self, data: bytes) -> None:
        if data:
            self._written += self._sink.write(data)
        if self._written > self.limit:
            self._refuse("the file")

    def _refuse(self, what: str) -> None:
        raise FormatError(
            f"writing a zip file: {what} exceeds {self.limit:,} bytes",
            hint="Export fewer rows, or use a format without this limit: csv, jsonl or parquet",
        )
