"""Sinks count, hash and compress; what they write depends only on the data."""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from export_pipelines.formats.csv import CsvWriter
from export_pipelines.formats.json import JsonWriter
from export_pipelines.formats.jsonl import JsonlWriter
from export_pipelines.formats.parquet import ParquetWriter
from export_pipelines.formats.sink import FileSink, SinkFile, compressed, extension_of, media_type_of
from export_pipelines.spec.formats import Compression, CsvFormat, Format, JsonFormat, JsonlFormat, ParquetFormat

COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip", "zstd", "zip")
_RANDOM = random.Random(1)
DATA = b"".join(b"%d,name %d\n" % (i, _RANDOM.randrange(10**6)) for i in range(200_000))  # more than one block


def _pieces(size: int) -> list[bytes]:
    return [DATA[i : i + size] for i in range(0, len(DATA), size)]


def _compress(compression: Compression, pieces: list[bytes]) -> bytes:
    file = io.BytesIO()
    sink = compressed(FileSink(file), compression, "students.csv")
    assert sum(sink.write(piece) for piece in pieces) == sum(map(len, pieces))
    sink.finish()
    return file.getvalue()


def _decompress(compression: Compression, data: bytes) -> bytes:
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    if compression == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return archive.read("students.csv")
    return data


def test_file_sink_counts_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as file:
        sink = FileSink(file)
        assert (sink.bytes, sink.sha256) == (0, hashlib.sha256(b"").hexdigest())
        assert sink.write(b"abc") == 3
        assert sink.write(memoryview(b"defg")[1:]) == 3
    assert path.read_bytes() == b"abcefg"
    assert (sink.bytes, sink.sha256) == (6, hashlib.sha256(b"abcefg").hexdigest())


class _Reluctant(io.RawIOBase):
    """A file that takes at most five bytes at once, as pipes and full disks may."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]
        self.taken += bytes(data[:5])
        return len(data[:5])


def test_file_sink_writes_all_to_a_file_that_takes_little() -> None:
    file = _Reluctant()
    sink = FileSink(file)
    assert sink.write(b"hello world") == 11
    assert file.taken == b"hello world"
    assert sink.sha256 == hashlib.sha256(b"hello world").hexdigest()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("pieces", [[], [b""], [b"x"], [DATA]], ids=["nothing", "empty", "tiny", "blocks"])
def test_round_trip(compression: Compression, pieces: list[bytes]) -> None:
    assert _decompress(compression, _compress(compression, pieces)) == b"".join(pieces)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_bytes_do_not_depend_on_pieces(compression: Compression) -> None:
    whole = _compress(compression, [DATA])
    assert whole == _compress(compression, _pieces(1 << 20)) == _compress(compression, _pieces(65_537))
    assert compression == "none" or len(whole) < len(DATA) / 2


def test_compression_streams() -> None:
    for compression in COMPRESSIONS:
        file = FileSink(io.BytesIO())
        sink = compressed(file, compression, "students.csv")
        for piece in _pieces(10_000):
            sink.write(piece)
        before_the_end = file.bytes
        sink.finish()
        assert before_the_end > file.bytes / 4


def test_gzip_tells_neither_time_nor_name() -> None:
    head = _compress("gzip", [b"x"])[:10]
    assert head[:2] == b"\x1f\x8b"
    assert head[3:8] == b"\x00" * 5  # no optional fields, no time


def test_zip_member_is_named_and_undated() -> None:
    (member,) = zipfile.ZipFile(io.BytesIO(_compress("zip", [DATA]))).infolist()
    assert member.filename == "students.csv"
    assert member.date_time == (1980, 1, 1, 0, 0, 0)
    assert member.file_size == len(DATA)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_abandoned_files_stay_silent(compression: Compression, capfd: pytest.CaptureFixture[str]) -> None:
    file = io.BytesIO()
    sink = compressed(FileSink(file), compression, "students.csv")
    sink.write(DATA)
    file.close()
    del sink
    gc.collect()
    assert capfd.readouterr().err == ""


def test_sink_file_tells_and_leaves_the_sink_open() -> None:
    file = io.BytesIO()
    with SinkFile(FileSink(file), test_sink_file_tells_and_leaves_the_sink_open) as wrapped:
        assert wrapped.writable()
        assert not wrapped.seekable()
        wrapped.write(b"abc")
        assert wrapped.tell() == 3
    assert file.getvalue() == b"abc"


@pytest.mark.parametrize(
    ("writer", "spec", "extension", "media_type"),
    [
        (CsvWriter, CsvFormat(), ".csv", "text/csv"),
        (CsvWriter, CsvFormat(compression="gzip"), ".csv.gz", "application/gzip"),
        (CsvWriter, CsvFormat(compression="zstd"), ".csv.zst", "application/zstd"),
        (CsvWriter, CsvFormat(compression="zip"), ".csv.zip", "application/zip"),
        (JsonWriter, JsonFormat(compression="gzip"), ".json.gz", "application/gzip"),
        (JsonlWriter, JsonlFormat(), ".jsonl", "application/x-ndjson"),
        (ParquetWriter, ParquetFormat(compression="zstd"), ".parquet", "application/vnd.apache.parquet"),
    ],
)
def test_file_names_and_media_types(writer: type, spec: Format, extension: str, media_type: str) -> None:
    assert extension_of(writer, spec) == extension
    assert media_type_of(writer, spec) == media_type
