"""Where files are written: bytes are counted, hashed and compressed on their way."""

from __future__ import annotations

import hashlib
import io
import weakref
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
from isal import isal_zlib

from export_pipelines.formats.base import Sink, Writer
from export_pipelines.spec.formats import Compression, Format

Data = bytes | memoryview

# Compressors see blocks of exactly this size, so that their output does not depend on how rows were batched.
_BLOCK_BYTES = 1 << 20
_GZIP_CONTAINER = 31  # wbits: deflate with the largest window, in a gzip container without time and name
_ZIP_LEVEL = 1  # five times faster than the default level 6 for files one seventh larger

_SUFFIXES: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst", "zip": ".zip"}
_MEDIA_TYPES: dict[Compression, str] = {
    "gzip": "application/gzip",
    "zstd": "application/zstd",
    "zip": "application/zip",
}


class FinishableSink(Sink, Protocol):
    """A sink whose file needs an end."""

    def finish(self) -> None:
        """Write what is still held back; afterwards nothing may be written."""


class FileSink:
    """Appends to a binary file that the caller opened and will close; counts and hashes on the way."""

    def __init__(self, file: BinaryIO | io.RawIOBase) -> None:
        self._file = file
        self._bytes = 0
        self._hash = hashlib.sha256()

    def write(self, data: Data, /) -> int:
        """Append all of `data`, return its length in bytes."""
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):  # an unbuffered file may take less than it is given
            written += self._file.write(view[written:]) or 0
        self._hash.update(view)
        self._bytes += written
        return written

    @property
    def bytes(self) -> int:
        """How many bytes were written."""
        return self._bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything written, in hexadecimal."""
        return self._hash.hexdigest()


class SinkFile(io.RawIOBase):
    """A sink as a Python file for libraries that want one: it knows its position and never closes the sink.

    `owner` is the object that writes through the library. Once it is gone nothing is written any more: a library
    whose file was abandoned halfway tries to end it when it is collected, and by then the sink is closed.
    """

    def __init__(self, sink: Sink, owner: object) -> None:
        super().__init__()
        self._sink = sink
        self._owner = weakref.ref(owner)
        self._position = 0

    def writable(self) -> bool:
        """Writing is all it can do."""
        return True

    def write(self, data: Any, /) -> int:
        """Append all of `data`, return its length in bytes."""
        written = len(data) if self._owner() is None else self._sink.write(data)
        self._position += written
        return written

    def tell(self) -> int:
        """How many bytes were written."""
        return self._position


class _Plain:
    def __init__(self, sink: Sink) -> None:
        self.write = sink.write

    def finish(self) -> None:
        """Nothing is held back."""


class _Blocks:
    """Collects what is written into blocks of equal size for `_take`."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def write(self, data: Data, /) -> int:
        self._pending += data
        while len(self._pending) >= _BLOCK_BYTES:
            self._take(bytes(self._pending[:_BLOCK_BYTES]))
            del self._pending[:_BLOCK_BYTES]
        return len(data)

    def finish(self) -> None:
        self._take(bytes(self._pending))
        self._pending.clear()

    def _take(self, block: bytes) -> None:
        raise NotImplementedError


class _Gzip(_Blocks):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        self._compressor = isal_zlib.compressobj(2, isal_zlib.DEFLATED, _GZIP_CONTAINER)

    def _take(self, block: bytes) -> None:
        self._sink.write(self._compressor.compress(block))

    def finish(self) -> None:
        super().finish()
        self._sink.write(self._compressor.flush())


class _Zstd(_Blocks):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._stream = pa.CompressedOutputStream(SinkFile(sink, self), "zstd")

    def _take(self, block: bytes) -> None:
        self._stream.write(block)

    def finish(self) -> None:
        super().finish()
        self._stream.close()


class _Zip(_Blocks):
    def __init__(self, sink: Sink, member_name: str) -> None:
        super().__init__()
        self._zip = zipfile.ZipFile(SinkFile(sink, self), "w", zipfile.ZIP_DEFLATED, compresslevel=_ZIP_LEVEL)
        # A member opened by name is dated 1980; its size is not known yet, hence zip64.
        self._member = self._zip.open(member_name, "w", force_zip64=True)

    def _take(self, block: bytes) -> None:
        self._member.write(block)

    def finish(self) -> None:
        super().finish()
        self._member.close()
        self._zip.close()


def compressed(sink: Sink, compression: Compression, member_name: str) -> FinishableSink:
    """A sink that compresses into `sink`; its bytes depend only on what is written, not on when or in which pieces.

    `member_name` is the name of the file inside a zip; the other kinds hold no name. Call `finish` at the end.
    """
    if compression == "zip":
        return _Zip(sink, member_name)
    kinds: dict[Compression, Callable[[Sink], FinishableSink]] = {"none": _Plain, "gzip": _Gzip, "zstd": _Zstd}
    return kinds[compression](sink)


def extension_of(writer: type[Writer[Any]], spec: Format) -> str:
    """The file name's end with its dots: `.csv`, or `.csv.gz` if the file is compressed as a whole."""
    return "." + writer.extension.lstrip(".") + _SUFFIXES[spec.wrapping]


def media_type_of(writer: type[Writer[Any]], spec: Format) -> str:
    """The file's media type, which is the compression's if it is compressed as a whole."""
    return _MEDIA_TYPES.get(spec.wrapping, writer.media_type)
