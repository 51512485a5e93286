"""The members of a tar archive as `archive_pack` writes it: regular files with GNU long names, and nothing else.

The headers are read here and not by a `TarFile`, because that one follows pax and sparse headers of any size, which can
give a member another name, length or type than its own header does.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from export_pipelines.retention.archive_bytes import Feed, MalformedArchiveError, Member
from export_pipelines.text import printable

_BLOCK = tarfile.BLOCKSIZE
_LONGEST_NAME = 16_384
_NAME_FIELD_BYTES = 100
_TYPES = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.DIRTYPE: "a directory",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.XHDTYPE: "a pax header",
    tarfile.XGLTYPE: "a global pax header",
    tarfile.SOLARIS_XHDTYPE: "a pax header",
    tarfile.GNUTYPE_LONGLINK: "a link with a long name",
}


def tar_members(feed: Feed) -> Iterator[Member]:
    """The members in their order. Raises MalformedArchiveError if the archive holds or is anything else."""
    while (block := feed.take(_BLOCK)) != bytes(_BLOCK):
        header = _header(block)
        path = header.name
        if header.type == tarfile.GNUTYPE_LONGNAME:
            path = _long_name(feed, header.size)
            header = _header(feed.take(_BLOCK))
        if header.type != tarfile.REGTYPE:
            kind = _TYPES.get(header.type, f"of type {header.type!r}")
            raise MalformedArchiveError(f"member {printable(path)!r} is {kind}, not a regular file")
        if header.size < 0:
            raise MalformedArchiveError(f"member {printable(path)!r} has a negative length")
        yield Member(path, header.size, feed.pieces(header.size))
        _zeros(feed.pieces(-header.size % _BLOCK), "the padding of a member")
    _end(feed)


def _header(block: bytes) -> tarfile.TarInfo:
    if b"\0" in block[:_NAME_FIELD_BYTES].rstrip(b"\0"):
        raise MalformedArchiveError("a member's name holds a zero byte")
    try:
        return tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except tarfile.HeaderError as error:
        raise MalformedArchiveError(f"the header of a member is damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise MalformedArchiveError("a member's name is not ASCII") from error


def _long_name(feed: Feed, size: int) -> str:
    if not 0 < size <= _LONGEST_NAME:
        raise MalformedArchiveError(f"a member's name has {size:,} bytes")
    name = feed.take(size)
    _zeros(feed.pieces(-size % _BLOCK), "the padding of a name")
    if not name.endswith(b"\0") or b"\0" in name[:-1] or not name.isascii():
        raise MalformedArchiveError("a member's long name is not ASCII, or holds a zero byte")
    return name[:-1].decode("ascii")


def _end(feed: Feed) -> None:
    """The second empty block, and as many as fill a record."""
    if feed.take(_BLOCK) != bytes(_BLOCK):
        raise MalformedArchiveError("one empty block is in the middle of the archive")
    _zeros(feed.pieces(-feed.position % tarfile.RECORDSIZE), "the end of the archive")
    if next(feed.rest(), b""):
        raise MalformedArchiveError("something follows the end of the archive")


def _zeros(pieces: Iterator[bytes], what: str) -> None:
    if any(piece.strip(b"\0") for piece in pieces):
        raise MalformedArchiveError(f"{what} is not empty")
