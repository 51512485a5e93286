"""Digests of what is uploaded, and their comparison with what the service reports."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

_CHUNK = 1024 * 1024
_MAX_PARTS = 10_000
_MD5_ETAG = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")


class _Slice(io.RawIOBase):
    """Some bytes of an open file. Slices of one file may be read at the same time."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, in bytes from the slice's beginning (or its end, or from here); return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as fit; 0 at the slice's end."""
        wanted = min(len(buffer), self._size - self._position)
        data = os.pread(self._descriptor, wanted, self._offset + self._position) if wanted > 0 else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


@dataclass(frozen=True)
class Part:
    """One part of an open file, counted from 1, with its digests."""

    number: int
    descriptor: int
    offset: int
    size: int
    sha256: bytes
    md5: bytes

    def open(self) -> BinaryIO:
        """Its bytes, rewindable as boto3's retries need it."""
        return io.BufferedReader(_Slice(self.descriptor, self.offset, self.size), buffer_size=_CHUNK)

    def arguments(self) -> dict[str, str]:
        """Its digests as arguments of an upload."""
        return _arguments(self.sha256, self.md5)


@dataclass(frozen=True)
class Expected:
    """What the service must report for an uploaded object."""

    bytes: int
    sha256: str
    """Base64: the file's SHA256, or for several parts the SHA256 of the parts' digests."""
    etag: str
    """Hexadecimal: the file's MD5, or for several parts the MD5 of the parts' digests, `-` and their number."""

    @classmethod
    def of(cls, size: int, parts: list[Part], *, multipart: bool) -> Expected:
        """From the parts; without `multipart` there is exactly one."""
        if not multipart:
            return cls(size, _encode(parts[0].sha256), parts[0].md5.hex())
        sha256 = hashlib.sha256(b"".join(part.sha256 for part in parts)).digest()
        return cls(size, _encode(sha256), f"{_md5(b''.join(part.md5 for part in parts)).hex()}-{len(parts)}")

    def difference(self, report: Mapping[str, Any]) -> str | None:
        """What an answer of the service says differently, or None. What it does not say is not compared."""
        if report.get("ContentLength", self.bytes) != self.bytes:
            return f"{report['ContentLength']:,} bytes instead of {self.bytes:,}"
        reported = report.get("ChecksumSHA256")
        if reported and reported.partition("-")[0] != self.sha256:
            return f"SHA256 {reported} instead of {self.sha256}"
        etag = self._comparable_etag(report)
        return f"ETag {etag} instead of {self.etag}" if etag not in (None, self.etag) else None

    def proven_by(self, report: Mapping[str, Any]) -> bool:
        """Whether the answer says more about the content than its size."""
        return bool(report.get("ChecksumSHA256") or self._comparable_etag(report))

    def _comparable_etag(self, report: Mapping[str, Any]) -> str | None:
        """The ETag if it is an MD5 of the same kind. Encrypted by KMS it is no MD5."""
        etag = str(report.get("ETag", "")).strip('"').lower()
        if report.get("ServerSideEncryption", "AES256") != "AES256" or not _MD5_ETAG.fullmatch(etag):
            return None
        return etag if etag.partition("-")[2] == self.etag.partition("-")[2] else None


def arguments_for(data: bytes) -> dict[str, str]:
    """The digests of a small object as arguments of an upload."""
    return _arguments(hashlib.sha256(data).digest(), _md5(data))


def _arguments(sha256: bytes, digest: bytes) -> dict[str, str]:
    return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": _encode(sha256), "ContentMD5": _encode(digest)}


def _encode(digest: bytes) -> str:
    """A digest as S3 writes it."""
    return base64.b64encode(digest).decode()


def _md5(data: bytes) -> bytes:
    """MD5 as S3 uses it: against accidents only."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def split(descriptor: int, size: int, *, part_bytes: int, whole: Any) -> Iterator[Part]:
    """The parts of an open file of `size` bytes, each read once for its digests; an empty file has one part.

    `whole` is a hash object that is fed all bytes. Parts grow beyond `part_bytes` where S3's 10,000 would not do.
    """
    step = max(part_bytes, -(-size // _MAX_PARTS))
    for number, offset in enumerate(range(0, max(size, 1), step), start=1):
        length = min(step, size - offset)
        sha256, digest = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for start in range(offset, offset + length, _CHUNK):
            chunk = os.pread(descriptor, min(_CHUNK, offset + length - start), start)
            for hashing in (sha256, digest, whole):
                hashing.update(chunk)
        yield Part(number, descriptor, offset, length, sha256.digest(), digest.digest())
