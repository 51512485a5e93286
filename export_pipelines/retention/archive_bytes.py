"""The bytes of an archive, read once and front to back: counted, hashed, decompressed and cut.

Nothing here believes an archive: whatever is asked for has a limit that the caller knows beforehand.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from isal import igzip_lib

from export_pipelines.storage.base import storage_error

CHUNK_BYTES = 1 << 20

_DAMAGED = cast(type[Exception], igzip_lib.IsalError)


class MalformedArchiveError(ValueError):
    """What is wrong with an archive; the reader adds which one."""


@dataclass(frozen=True)
class Member:
    """A regular file in an archive, with the name and length in bytes that its header claims.

    `data` gives at most that length. It has to be read to its end, which raises MalformedArchiveError if there is less.
    """

    path: str
    size: int
    data: Iterator[bytes]


class ArchiveFile(io.RawIOBase):
    """The archive as it is in the store; counts and hashes what is read. Errors of the system become ours."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file = file
        self._where = where
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything read, in hexadecimal."""
        return self._hash.hexdigest()

    def readable(self) -> bool:
        """Reading is all it can do."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there is something. Raises StorageError, StorageUnavailableError."""
        data = self._take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def chunks(self) -> Iterator[bytes]:
        """What follows, in pieces of 1 MB. Raises StorageError, StorageUnavailableError."""
        while chunk := self._take(CHUNK_BYTES):
            yield chunk

    def _take(self, most: int) -> bytes:
        try:
            data = self._file.read(most)
        except OSError as error:
            raise storage_error(f"reading {self._where}", error) from error
        self._hash.update(data)
        self.bytes += len(data)
        return data


class Feed:
    """Pieces of any size, given out in the sizes that a reader asks for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self._start = 0
        self.position = 0
        """How many bytes were given out."""

    def take(self, count: int) -> bytes:
        """The next `count` bytes, a few. Raises MalformedArchiveError if there are less."""
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[bytes]:
        """The next `count` bytes in pieces. Raises MalformedArchiveError if there are less."""
        left = count
        while left:
            piece = self._next(left)
            if not piece:
                raise MalformedArchiveError("it ends in the middle")
            left -= len(piece)
            yield piece

    def rest(self) -> Iterator[bytes]:
        """All that is left, in pieces."""
        while piece := self._next(CHUNK_BYTES):
            yield piece

    def _next(self, most: int) -> bytes:
        while self._start == len(self._held):
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._held, self._start = chunk, 0
        piece = self._held[self._start : self._start + most]
        self._start += len(piece)
        self.position += len(piece)
        return piece


def inflated(chunks: Iterator[bytes], *, gzip: bool) -> Iterator[bytes]:
    """The one deflate stream, with or without a gzip container, that the pieces hold; in pieces of at most 1 MB.

    Raises MalformedArchiveError if it is damaged, does not end, or is followed by anything.
    """
    decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP if gzip else igzip_lib.DECOMP_DEFLATE)
    for chunk in chunks:
        if decoder.eof:
            raise MalformedArchiveError("something follows the end of the compressed data")
        yield from _decoded(decoder, chunk)
    if not decoder.eof or decoder.unused_data:
        raise MalformedArchiveError("the compressed data ends too early or too late")


def _decoded(decoder: Any, chunk: bytes) -> Iterator[bytes]:
    while True:
        try:
            data = decoder.decompress(chunk, CHUNK_BYTES)
        except _DAMAGED as error:
            raise MalformedArchiveError(f"the compressed data is damaged: {error}") from error
        if data:
            yield data
        if decoder.eof or decoder.needs_input:
            return
        chunk = b""


def from_zstd(file: ArchiveFile) -> Iterator[bytes]:
    """What the Zstandard frames in the file hold, in pieces of 1 MB. Raises MalformedArchiveError if one is damaged."""
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
    while True:
        try:
            data: bytes = stream.read(CHUNK_BYTES)
        except (OSError, pa.ArrowInvalid) as error:  # those of the file are ours already
            raise MalformedArchiveError(f"the compressed data is damaged: {error}") from error
        if not data:
            return
        yield data
