"""The zip archive that workbooks are written into."""

from __future__ import annotations

import io
import os
import zipfile

import pytest

from export_pipelines.errors import FormatError
from export_pipelines.formats.zip_stream import ZipStream
from export_pipelines_tests.contracts.format_writing import AppendOnly


def _archive(pieces: list[bytes]) -> bytes:
    sink = AppendOnly()
    stream = ZipStream(sink)
    stream.add("first.xml", b"<a/>")
    stream.begin("long.xml")
    for piece in pieces:
        stream.write(piece)
    stream.finish()
    stream.add("last.xml", b"")
    stream.close()
    return sink.value()


def test_other_readers_find_every_entry_complete() -> None:
    content = os.urandom(700_000) + b"x" * 3_000_000
    with zipfile.ZipFile(io.BytesIO(_archive([content[:1], content[1:], b""]))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "first.xml": b"<a/>",
            "long.xml": content,
            "last.xml": b"",
        }


def test_bytes_do_not_depend_on_how_the_content_is_cut() -> None:
    content = b"".join(b"<v>%d</v>" % (i * i) for i in range(100_000))
    pieces = [content[start : start + 77_777] for start in range(0, len(content), 77_777)]
    assert _archive([content]) == _archive(pieces)


def test_entries_carry_no_time_of_writing() -> None:
    with zipfile.ZipFile(io.BytesIO(_archive([b"x"]))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_size_of_the_current_entry_is_known() -> None:
    stream = ZipStream(AppendOnly())
    stream.begin("a")
    stream.write(b"x" * 1_000_000)
    assert stream.entry_bytes == 1_000_000


@pytest.mark.parametrize(
    ("content", "named"), [(b"x" * 200_000, "its part long.xml"), (os.urandom(99_000), "the file")]
)
def test_what_excel_could_not_open_is_refused(monkeypatch: pytest.MonkeyPatch, content: bytes, named: str) -> None:
    monkeypatch.setattr(ZipStream, "limit", 99_000)
    with pytest.raises(FormatError, match=f"{named} exceeds 99,000 bytes.*csv"):
        _archive([content])
