"""The members of a zip archive as `archive_pack` writes it, read front to back from a file that cannot seek.

Members stand one after the other without a gap, deflated or stored, with their lengths before their data; then come the
directory, which has to say the same about each, and the end. Every byte is accounted for: nothing before, between or
after, no comment, no encryption, no second directory. `zipfile` would have to seek, and allows all that.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from export_pipelines.retention.archive_bytes import Feed, MalformedArchiveError, Member, inflated
from export_pipelines.text import printable

_LOCAL = struct.Struct("<5H3L2H")
_CENTRAL = struct.Struct("<6H3L5H2L")
_END = struct.Struct("<4H2LH")
_END64 = struct.Struct("<Q2H2L4Q")
_LOCATOR = struct.Struct("<LQL")
_LOCAL_MARK, _CENTRAL_MARK, _END_MARK = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_END64_MARK, _LOCATOR_MARK = b"PK\6\6", b"PK\6\7"

_STORED, _DEFLATED = 0, 8
_HARMLESS_FLAGS = 0x0806  # the name is UTF-8; how hard it was compressed
_ELSEWHERE_16, _ELSEWHERE_32 = 0xFFFF, 0xFFFFFFFF  # the value is in a 64-bit field
_EXTRA64 = 1
_LONGEST_NAME = 16_384
_LONGEST_EXTRA = 64


@dataclass(frozen=True)
class _Entry:
    """What both the header before the data and the directory say about a member."""

    path: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def zip_members(feed: Feed) -> Iterator[Member]:
    """The members in their order. Raises MalformedArchiveError if the archive holds or is anything else."""
    entries: list[_Entry] = []
    while (mark := feed.take(4)) == _LOCAL_MARK:
        entry = _local(feed, feed.position - 4)
        entries.append(entry)
        yield Member(entry.path, entry.size, _data(feed, entry))
    start = feed.position - 4
    for entry in entries:
        if mark != _CENTRAL_MARK or _central(feed) != entry:
            raise MalformedArchiveError(f"the directory tells something else about member {printable(entry.path)!r}")
        mark = feed.take(4)
    _end(feed, mark, count=len(entries), start=start)


def _local(feed: Feed, offset: int) -> _Entry:
    _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(feed.take(_LOCAL.size))
    path = _name(feed, name_length)
    if flags & ~_HARMLESS_FLAGS:
        raise MalformedArchiveError(f"member {printable(path)!r} is encrypted or streamed (flags {flags:#x})")
    if method not in (_STORED, _DEFLATED):
        raise MalformedArchiveError(f"member {printable(path)!r} is compressed by method {method}")
    size, packed = _wide(feed, extra_length, [size, packed])
    if method == _STORED and packed != size:
        raise MalformedArchiveError(f"member {printable(path)!r} is stored, with two lengths")
    return _Entry(path, flags, method, crc, packed, size, offset)


def _central(feed: Feed) -> _Entry:
    values = _CENTRAL.unpack(feed.take(_CENTRAL.size))
    flags, method, crc, packed, size = values[2], values[3], *values[6:9]
    name_length, extra_length, comment_length, disk, _, attributes, offset = values[9:]
    path = _name(feed, name_length)
    if comment_length or disk:
        raise MalformedArchiveError(f"member {printable(path)!r} has a comment or is on another disk")
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFREG) or attributes & stat.FILE_ATTRIBUTE_DIRECTORY:
        raise MalformedArchiveError(f"member {printable(path)!r} is a link or a directory, not a regular file")
    size, packed, offset = _wide(feed, extra_length, [size, packed, offset])
    return _Entry(path, flags, method, crc, packed, size, offset)


def _name(feed: Feed, length: int) -> str:
    name = feed.take(length) if length <= _LONGEST_NAME else b""
    if not name or not name.isascii():
        raise MalformedArchiveError(f"a member's name has {length:,} bytes, or is not ASCII")
    return name.decode("ascii")


def _wide(feed: Feed, length: int, values: list[int]) -> list[int]:
    """The values, those that are `_ELSEWHERE_32` from the extra field, which may hold nothing else."""
    extra = feed.take(length) if length <= _LONGEST_EXTRA else b"?"
    missing = [place for place, value in enumerate(values) if value == _ELSEWHERE_32]
    if not extra and not missing:
        return values
    if not missing or extra[:4] != struct.pack("<2H", _EXTRA64, 8 * len(missing)) or len(extra) != 4 + 8 * len(missing):
        raise MalformedArchiveError("a member has an extra field that it should not have")
    found = dict(zip(missing, struct.unpack(f"<{len(missing)}Q", extra[4:]), strict=True))
    return [found.get(place, value) for place, value in enumerate(values)]


def _data(feed: Feed, entry: _Entry) -> Iterator[bytes]:
    """What the member holds, never more than its length."""
    packed = feed.pieces(entry.packed)
    crc, left = 0, entry.size
    for piece in inflated(packed, gzip=False) if entry.method == _DEFLATED else packed:
        left -= len(piece)
        if left < 0:
            raise MalformedArchiveError("it is longer than its header says")
        crc = zlib.crc32(piece, crc)
        yield piece
    if left or crc != entry.crc:
        raise MalformedArchiveError("it is shorter than its header says, or its checksum is wrong")


def _end(feed: Feed, mark: bytes, *, count: int, start: int) -> None:
    """The end, in 64 bits too if numbers are large. Nothing follows."""
    end = feed.position - 4
    real = (0, 0, count, count, end - start, start)
    allowed = {real}
    if mark == _END64_MARK:
        wide = _END64.unpack(feed.take(_END64.size))
        mark = feed.take(4)
        locator = _LOCATOR.unpack(feed.take(_LOCATOR.size))
        if mark != _LOCATOR_MARK or locator != (0, end, 1) or wide[0] != _END64.size - 8 or wide[3:] != real:
            raise MalformedArchiveError("its end says something else than its directory")
        mark = feed.take(4)
        counts, sizes = (min(count, _ELSEWHERE_16),) * 2, (min(end - start, _ELSEWHERE_32), min(start, _ELSEWHERE_32))
        allowed.add((0, 0, *counts, *sizes))
    if mark != _END_MARK:
        raise MalformedArchiveError("it holds something that is not a member")
    *told, comment_length = _END.unpack(feed.take(_END.size))
    if tuple(told) not in allowed or comment_length:
        raise MalformedArchiveError("its end says something else than its directory, or has a comment")
    if next(feed.rest(), b""):
        raise MalformedArchiveError("something follows its end")
