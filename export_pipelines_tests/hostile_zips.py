"""Zip archives made by an enemy; see `integration/test_hostile_archives.py`."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from export_pipelines_tests.hostile_tars import (
    BOTH,
    CSV,
    DATA,
    GIGABYTE,
    HERE,
    NAMES,
    UNICODE,
    deflated,
    deflated_zeros,
)


def entry(name: str, **fields: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.create_system = (stat.S_IFREG | 0o600) << 16, 3
    info.compress_type = zipfile.ZIP_DEFLATED
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # of equal names
        archive.comment = comment
        for name, data in members:
            archive.writestr(entry(name) if isinstance(name, str) else name, data)
    return out.getvalue()


def one(**fields: Any) -> bytes:
    """The honest archive but for fields of the file."""
    return zipped(BOTH[0], (entry(CSV, **fields), DATA))


def replaced(data: bytes, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    """The first or the last occurrence replaced; there must be one."""
    place = data.rindex(old) if last else data.index(old)
    return data[:place] + new + data[place + len(old) :]


def lying(
    local: dict[int, int], central: dict[int, int], data: bytes = DATA, *, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """An archive with `data` in it, and fields of 32 bits changed, by offset in the file's header and in the directory."""
    raw = bytearray(zipped(BOTH[0], (entry(CSV, compress_type=method), data)))
    starts = raw.index(CSV.encode()) - 30, raw.rindex(CSV.encode()) - 46
    for start, fields in zip(starts, (local, central), strict=True):
        for offset, value in fields.items():
            raw[start + offset : start + offset + 4] = struct.pack("<L", value)
    return bytes(raw)


def flagged(flag: int, *, everywhere: bool = True) -> bytes:
    raw = bytearray(zipped(*BOTH))
    raw[raw.index(CSV.encode()) - 30 + 6] |= flag
    raw[raw.rindex(CSV.encode()) - 46 + 8] |= flag if everywhere else 0
    return bytes(raw)


def zip_bomb(claimed: int) -> bytes:
    """One gigabyte of zeros that both headers claim to be `claimed` bytes."""
    crc = zlib.crc32(DATA)
    data, deflate = deflated_zeros() + deflated(b"", last=True), zipfile.ZIP_DEFLATED << 16
    header, directory = {6: deflate, 14: crc, 22: claimed}, {8: deflate, 16: crc, 24: claimed}
    return lying(header, directory, data, method=zipfile.ZIP_STORED)


def shifted(raw: bytes, gap: bytes) -> bytes:
    """Bytes before the directory that belong to nothing."""
    start = raw.index(b"PK\1\2")
    moved = raw[:start] + gap + raw[start:]
    return moved[:-6] + struct.pack("<L", start + len(gap)) + moved[-2:]


def overlapping() -> bytes:
    """Two entries of the directory share the data of one."""
    raw = zipped(*BOTH)
    start, second = raw.index(b"PK\1\2"), raw.rindex(b"PK\1\2")
    first_local = raw.index(b"PK\3\4", 4)
    directory = bytearray(raw[start:-22])
    directory[second - start + 42 : second - start + 46] = struct.pack("<L", 0)
    end = bytearray(raw[-22:])
    end[16:20] = struct.pack("<L", first_local)
    return raw[:first_local] + bytes(directory) + bytes(end)


def wide(size: int) -> bytes:
    """The file's length in a 64-bit field."""
    extra = struct.pack("<2HQ", 1, 8, size)
    raw = lying({22: 0xFFFFFFFF, 26: len(CSV) | len(extra) << 16}, {})
    return replaced(raw, CSV.encode(), CSV.encode() + extra)


ZIPS: dict[str, Callable[[], bytes]] = {
    "symbolic link": lambda: one(external_attr=(stat.S_IFLNK | 0o777) << 16),
    "named pipe": lambda: one(external_attr=(stat.S_IFIFO | 0o600) << 16),
    "device": lambda: one(external_attr=(stat.S_IFCHR | 0o600) << 16),
    "directory": lambda: one(external_attr=(stat.S_IFDIR | 0o700) << 16 | 0x10),
    "directory for DOS": lambda: one(external_attr=0x10),
    "link and a file through it": lambda: zipped(
        (entry(HERE, external_attr=(stat.S_IFLNK | 0o777) << 16), b"../../canary"), (f"{HERE}/x", b"x"), *BOTH
    ),
    "the same file twice": lambda: zipped(*BOTH, BOTH[1]),
    "twice, the second different": lambda: zipped(*BOTH, (CSV, DATA[::-1])),
    "twice, the first different": lambda: zipped((CSV, DATA[::-1]), *BOTH),
    "one more": lambda: zipped(*BOTH, (f"{HERE}/more.csv", b"1")),
    "no file": lambda: zipped(BOTH[0]),
    "no manifest": lambda: zipped(BOTH[1]),
    "nothing": zipped,
    "no bytes": lambda: b"",
    "other content": lambda: zipped(BOTH[0], (CSV, DATA[::-1])),
    "one byte more": lambda: zipped(BOTH[0], (CSV, DATA + b"x")),
    "one byte less": lambda: zipped(BOTH[0], (CSV, DATA[:-1])),
    "other name in the directory": lambda: replaced(
        zipped(*BOTH), CSV.encode(), CSV.replace("students.csv", "../../xx.csv").encode(), last=True
    ),
    "other name in the header": lambda: replaced(
        zipped(*BOTH), CSV.encode(), CSV.replace("students.csv", "../../xx.csv").encode()
    ),
    "longer than the header says": lambda: lying({22: 10}, {24: 10}, DATA + b"x"),
    "shorter than the header says": lambda: lying({22: 10}, {24: 10}, DATA[:-1]),
    "longer in the directory": lambda: lying({}, {24: GIGABYTE}),
    "longer in the header": lambda: lying({22: GIGABYTE}, {}),
    "packed longer than it is": lambda: lying({18: 5_000}, {20: 5_000}),
    "packed beyond the end": lambda: lying({18: 2**32 - 2}, {20: 2**32 - 2}),
    "packed shorter than it is": lambda: lying({18: 5}, {20: 5}),
    "wrong checksum": lambda: lying({14: 1}, {16: 1}),
    "wrong checksum in the directory": lambda: lying({}, {16: 1}),
    "wrong place in the directory": lambda: lying({}, {42: 0}),
    "bomb that claims 10 bytes": lambda: zip_bomb(10),
    "bomb that claims 1 GB": lambda: zip_bomb(GIGABYTE),
    "encrypted": lambda: flagged(1),
    "encrypted in the directory": lambda: replaced(flagged(1), b"\1\0\x08\0", b"\0\0\x08\0"),
    "strongly encrypted": lambda: flagged(0x41),
    "streamed": lambda: flagged(8),
    "patched": lambda: flagged(0x20),
    "flags in the header only": lambda: flagged(2, everywhere=False),
    "bzip2": lambda: one(compress_type=zipfile.ZIP_BZIP2),
    "lzma": lambda: one(compress_type=zipfile.ZIP_LZMA),
    "stored, with another length": lambda: replaced(
        one(compress_type=zipfile.ZIP_STORED), struct.pack("<2L", 10, 10), struct.pack("<2L", 11, 10)
    ),
    "64-bit length that lies": lambda: wide(2**40),
    "unicode path": lambda: one(extra=struct.pack("<2HBL", 0x7075, 9, 1, zlib.crc32(CSV.encode())) + b"../x"),
    "extra field": lambda: one(extra=struct.pack("<2H", 0xCAFE, 4) + b"evil"),
    "comment": lambda: zipped(*BOTH, comment=b"PK\5\6 owned"),
    "comment of a member": lambda: one(comment=b"owned"),
    "program in front": lambda: b"MZ" + bytes(510) + zipped(*BOTH),
    "something behind": lambda: zipped(*BOTH) + b"owned",
    "a zip behind": lambda: zipped(*BOTH) + zipped((CSV, DATA[::-1])),
    "a zip in front": lambda: zipped((CSV, DATA[::-1])) + zipped(*BOTH),
    "gap": lambda: shifted(zipped(*BOTH), b"owned"),
    "gap like a member": lambda: shifted(zipped(*BOTH), zipped((CSV, b"x"))[:60]),
    "overlapping": overlapping,
    "wrong count": lambda: replaced(zipped(*BOTH), struct.pack("<2H", 2, 2), struct.pack("<2H", 1, 1), last=True),
    "second disk": lambda: replaced(zipped(*BOTH), b"PK\5\6\0\0", b"PK\5\6\1\0"),
    "no directory": lambda: zipped(*BOTH)[: zipped(*BOTH).index(b"PK\1\2")],
    "no end": lambda: zipped(*BOTH)[:-22],
    "a name of 60 kB": lambda: zipped(*BOTH, ("a" * 60_000, b"x")),
    "20,000 strangers": lambda: zipped(*((f"x{number}", b"") for number in range(20_000))),
    "zero byte in a name": lambda: zipped(BOTH[0], (entry(CSV, filename=f"{CSV}\0x", orig_filename=f"{CSV}\0x"), DATA)),
    **{
        f"named {name[:40]!r}": lambda name=name: zipped(*BOTH, (entry("x", filename=name), b"x"))
        for name in [*NAMES, *UNICODE]
    },
}
