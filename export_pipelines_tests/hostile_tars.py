"""Tar archives made by an enemy, and the names that enemies give; see `integration/test_hostile_archives.py`."""

from __future__ import annotations

import gzip
import struct
import tarfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa

from export_pipelines_tests.archived import manifest_of

HERE = "2026-01-05/students"
DATA = b"id,name\n1,"  # ten bytes
MANIFEST = manifest_of({"students.csv": DATA})
CSV, JSON = f"{HERE}/students.csv", f"{HERE}/metadata.json"
GIGABYTE = 2**30
BOTH = [(JSON, MANIFEST.to_json()), (CSV, DATA)]
OUTSIDE = "/tmp/outside-of-everything"
NAMES = [
    "../x",
    "../../../../canary/x",
    f"{HERE}/../../canary/x",
    OUTSIDE,
    "//server/share/x",
    "..\\..\\x",
    "C:\\x",
    "C:/x",
    "c:x",
    "~/.ssh/authorized_keys",
    "-rf",
    "",
    ".",
    "./" + CSV,
    f"{HERE}//students.csv",
    f"{HERE}/./students.csv",
    f"{CSV}/",
    f"{CSV}.",
    f"{CSV} ",
    f"{CSV}\n",
    CSV.upper(),
    CSV.replace("csv", "CSV"),
    f"{HERE}/con",
    f"{HERE}/students.csv:stream",
    f"{HERE}/\x1b[2J\x1b]0;owned\x07",
    ".staging/students/2026-01-05/1/x",
    ".placement",
    "students.csv",
    "a/" * 4_000 + "x",
    "a" * 15_000,
]
UNICODE = [
    f"{HERE}/studеnts.csv",  # Cyrillic
    f"{HERE}/students．csv",  # full width
    f"{HERE}/students\u200b.csv",
    "\u202e" + CSV,
    "2026-01-05∕students/students.csv",
    "..∕x",
    "．．/x",
]


def block(name: str, data: bytes = b"", **fields: Any) -> bytes:
    """A header as tarfile writes it, whatever the fields are, and padded data."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def patched(header: bytes, place: int, data: bytes) -> bytes:
    """The header with other bytes, and the checksum that fits."""
    raw = bytearray(header)
    raw[place : place + len(data)] = data
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def pax(type: bytes, **records: str) -> bytes:
    """A pax header, for the next member or for all."""
    body = b""
    for key, value in records.items():
        record = f" {key.replace('_', '.')}={value}\n".encode()
        length = len(record)
        while length != len(str(length)) + len(record):
            length = len(str(length)) + len(record)
        body += str(length).encode() + record
    return block("pax", body, type=type)


HONEST = b"".join(block(name, data) for name, data in BOTH)
FIRST, SECOND = (block(name, data) for name, data in BOTH)
END = bytes(1024)


def record(tar: bytes) -> bytes:
    return tar + bytes(-len(tar) % tarfile.RECORDSIZE)


def before(member: bytes) -> bytes:
    return record(member + HONEST + END)


def after(member: bytes) -> bytes:
    return record(HONEST + member + END)


def instead(member: bytes) -> bytes:
    """In place of the file."""
    return record(FIRST + member + END)


def of_type(type: bytes, **fields: Any) -> bytes:
    return instead(block(CSV, type=type, **fields))


TARS: dict[str, Callable[[], bytes]] = {
    "symbolic link outside": lambda: of_type(tarfile.SYMTYPE, linkname=OUTSIDE),
    "symbolic link upwards": lambda: of_type(tarfile.SYMTYPE, linkname="../../../canary/treasure"),
    "hard link outside": lambda: of_type(tarfile.LNKTYPE, linkname=OUTSIDE),
    "hard link to the manifest": lambda: of_type(tarfile.LNKTYPE, linkname=JSON),
    "link and a file through it": lambda: before(
        block(HERE, type=tarfile.SYMTYPE, linkname="../../../canary") + block(f"{HERE}/x", b"x")
    ),
    "link, then a file of its name": lambda: record(
        FIRST + block(CSV, type=tarfile.SYMTYPE, linkname=OUTSIDE) + SECOND + END
    ),
    "character device": lambda: of_type(tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": lambda: of_type(tarfile.BLKTYPE, devmajor=8),
    "named pipe": lambda: of_type(tarfile.FIFOTYPE),
    "directory": lambda: of_type(tarfile.DIRTYPE),
    "directory of the artifact": lambda: before(block(HERE, type=tarfile.DIRTYPE)),
    "old type": lambda: instead(block(CSV, DATA, type=tarfile.AREGTYPE)),
    "contiguous file": lambda: instead(block(CSV, DATA, type=tarfile.CONTTYPE)),
    "unknown type": lambda: instead(block(CSV, DATA, type=b"Z")),
    "volume label": lambda: before(block("label", type=b"V")),
    "sparse file": lambda: instead(block(CSV, DATA, type=tarfile.GNUTYPE_SPARSE)),
    "sparse file of 8 EB": lambda: instead(
        patched(block(CSV, type=tarfile.GNUTYPE_SPARSE), 483, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7)
    ),
    "pax path": lambda: record(FIRST + pax(tarfile.XHDTYPE, path="../x") + SECOND + END),
    "pax path to the expected": lambda: record(FIRST + pax(tarfile.XHDTYPE, path=CSV) + block("x", DATA) + END),
    "pax size": lambda: record(FIRST + pax(tarfile.XHDTYPE, size="1073741824") + SECOND + END),
    "pax linkpath": lambda: record(FIRST + pax(tarfile.XHDTYPE, linkpath=OUTSIDE) + SECOND + END),
    "pax sparse": lambda: record(
        FIRST + pax(tarfile.XHDTYPE, GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_realsize="9" * 18) + SECOND
    ),
    "solaris pax": lambda: record(FIRST + pax(tarfile.SOLARIS_XHDTYPE, path="../x") + SECOND + END),
    "global pax": lambda: before(pax(tarfile.XGLTYPE, path="../x", size="5")),
    "pax header of 1 GB": lambda: before(block("pax", type=tarfile.XHDTYPE, size=GIGABYTE) + bytes(2**20)),
    "GNU long link": lambda: before(block("././@LongLink", b"x\0", type=tarfile.GNUTYPE_LONGLINK)),
    "GNU long name of 1 GB": lambda: before(
        block("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=GIGABYTE) + bytes(2**20)
    ),
    "GNU long name with a zero": lambda: record(
        FIRST
        + block("././@LongLink", f"{CSV}\0../x\0".encode(), type=tarfile.GNUTYPE_LONGNAME)
        + block("x", DATA)
        + END
    ),
    "GNU long name without data": lambda: before(block("././@LongLink", type=tarfile.GNUTYPE_LONGNAME)),
    "GNU long name for a link": lambda: record(
        FIRST
        + block("././@LongLink", CSV.encode() + b"\0", type=tarfile.GNUTYPE_LONGNAME)
        + block("x", type=tarfile.SYMTYPE, linkname=OUTSIDE)
        + END
    ),
    "GNU long names forever": lambda: before(
        block("././@LongLink", b"x\0", type=tarfile.GNUTYPE_LONGNAME) * 20_000,
    ),
    "zero byte in a name": lambda: instead(patched(SECOND, len(CSV) + 1, b"/../../x")),
    "prefix that changes the name": lambda: instead(
        patched(patched(SECOND, 257, b"ustar\x0000"), 345, b"../../canary")
    ),
    "the same file twice": lambda: after(SECOND),
    "twice, the second different": lambda: after(block(CSV, DATA[::-1])),
    "twice, the first different": lambda: before(block(CSV, DATA[::-1])),
    "manifest twice": lambda: after(FIRST),
    "one more": lambda: after(block(f"{HERE}/more.csv", b"1")),
    "no file": lambda: record(FIRST + END),
    "no manifest": lambda: record(SECOND + END),
    "nothing": lambda: record(END),
    "no bytes": lambda: b"",
    "other content": lambda: instead(block(CSV, DATA[::-1])),
    "other manifest": lambda: record(block(JSON, MANIFEST.to_json()[::-1]) + SECOND + END),
    "one byte more": lambda: instead(block(CSV, DATA + b"x")),
    "one byte less": lambda: instead(block(CSV, DATA[:-1])),
    "claims 1 GB": lambda: instead(block(CSV, size=GIGABYTE) + bytes(2**20)),
    "claims 8 EB": lambda: instead(block(CSV, size=2**63 - 1)),
    "claims a negative length": lambda: instead(block(CSV, size=-512)),
    "padding that is not empty": lambda: record(FIRST + SECOND[:-1] + b"x" + END),
    "wrong checksum": lambda: record(FIRST + SECOND[:148] + b"000000\0 " + SECOND[156:] + END),
    "not a tar": lambda: b"MZ" * 10_000,
    "cut in a header": lambda: HONEST[:300],
    "cut in data": lambda: HONEST[:-510],
    "cut before its end": lambda: HONEST,
    "only one empty block": lambda: HONEST + bytes(512),
    "one empty block between": lambda: record(FIRST + bytes(512) + SECOND + END),
    "a second tar after the end": lambda: record(HONEST + END) + record(SECOND + END),
    "something in the last record": lambda: record(HONEST + END + b"x"),
    "an empty record too much": lambda: record(HONEST + END) + bytes(tarfile.RECORDSIZE),
    **{f"named {name[:40]!r}": lambda name=name: after(block(name, b"x")) for name in [*NAMES, *UNICODE]},
}
"""Each is given as tar.gz and as tar.zst."""

BOMBS: dict[str, tuple[bytes, bytes]] = {
    "behind the archive": (record(HONEST + END), b""),
    "in front of it": (b"", record(HONEST + END)),
    "in a member of 1 GB": (FIRST + block(CSV, size=GIGABYTE), END),
    "in a member of 10 bytes": (FIRST + block(CSV, size=10), END),
    "in a pax header": (FIRST + block("pax", type=tarfile.XHDTYPE, size=GIGABYTE), SECOND + END),
    "in a name": (FIRST + block("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=GIGABYTE), SECOND + END),
    "in the padding": (FIRST + SECOND[:-1], END),
}
"""What comes before one gigabyte of zeros, and after it."""


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def deflated(data: bytes, *, last: bool) -> bytes:
    """A deflate stream, or the part of one that any other part can follow."""
    stream = zlib.compressobj(1, zlib.DEFLATED, -15)
    return stream.compress(data) + stream.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


@cache
def deflated_zeros() -> bytes:
    """One gigabyte of zeros as a part of a deflate stream."""
    return deflated(bytes(2**20), last=False) * 1024


def bomb(format: str, front: bytes, back: bytes) -> bytes:
    """The two parts with one gigabyte of zeros between them, as a tar.gz or tar.zst."""
    if format == "tar.zst":
        return zstd(front) + zstd(bytes(2**20)) * 1024 + zstd(back)
    crc = zlib.crc32(front)
    for _ in range(1024):
        crc = zlib.crc32(bytes(2**20), crc)
    crc, size = zlib.crc32(back, crc), len(front) + GIGABYTE + len(back)
    body = deflated(front, last=False) + deflated_zeros() + deflated(back, last=True)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + struct.pack("<2L", crc, size % 2**32)


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)
