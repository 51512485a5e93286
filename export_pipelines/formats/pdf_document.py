"""A ReportLab canvas that writes each page when it is finished, to a sink that cannot seek.

ReportLab keeps every page until `save`. Here a page leaves memory at `showPage`; what stays is 8 bytes for each of
its two objects, the offsets that the cross-reference table at the end of the file needs. Fonts are written at the end.
"""

from __future__ import annotations

from array import array
from datetime import datetime
from hashlib import sha256

from reportlab.pdfbase.pdfdoc import (
    PDFDocument,
    PDFIndirectObject,
    PDFPage,
    PDFStream,
    PDFTrailer,
    PDFZCompress,
)
from reportlab.pdfgen.canvas import Canvas

from export_pipelines.formats.base import Sink

_LEAF_PAGES = 64  # pages under one node of the page tree
_HEADER = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"  # the second line tells transfer programs that the file is binary
_XREF_CHUNK = 2_000  # table entries (20 bytes each) per write


class StreamingDocument(PDFDocument):  # type: ignore[misc] # reportlab has no types
    """A PDF file that is written as it grows."""

    def __init__(self, sink: Sink, created_at: datetime) -> None:
        super().__init__(invariant=1, compression=1)
        self.Catalog.Outlines = None
        self._timeStamp.YMDhms = created_at.timetuple()[:6]
        self._timeStamp.dhh, self._timeStamp.dmm = _utc_offset(created_at)
        self._sink = sink
        self._digest = sha256()
        self._position = 0
        self._offsets = array("Q")  # of object n in bytes, at n - 1; 0 while it is not written
        self._root = self._reserve()
        self._leaves: list[int] = []
        self._leaf = 0
        self._kids: list[int] = []
        self._pages = 0
        self._put(_HEADER)

    def addPage(self, page: PDFPage) -> None:  # noqa: N802 - ReportLab's name
        """Write the page; called by the canvas."""
        if not self._kids:
            self._leaf = self._reserve()
        stream = PDFStream(content=page.stream.encode("latin-1"), filters=[PDFZCompress])
        page.Contents = f"{self._write(self._reserve(), stream.format(self))} 0 R"
        page.Parent = f"{self._leaf} 0 R"
        self._kids.append(self._write(self._reserve(), page.format(self)))
        self._pages += 1
        if len(self._kids) == _LEAF_PAGES:
            self._finish_leaf()
        self.pageCounter += 1
        self.inObject = None

    def finish(self) -> None:
        """Write fonts, page tree, cross-reference table and trailer."""
        if self._kids:
            self._finish_leaf()
        self._write(self._root, _node("", self._leaves, self._pages))
        self.Catalog.Pages = f"{self._root} 0 R"
        root, info = self.Reference(self.Catalog), self.Reference(self.info)
        for font in self.delayedFonts:
            font.addObjects(self)
        self._write_registered()
        start = self._write_table()
        ends = PDFTrailer(start, Size=len(self._offsets) + 1, Root=root, Info=info, ID=self.ID())
        self._put(ends.format(self))

    def ID(self) -> bytes:  # noqa: N802 - ReportLab's name
        """The file identifier: a digest of all that was written before."""
        name = self._digest.hexdigest()[:32]
        return f"[<{name}> <{name}>]".encode()

    def _write_registered(self) -> None:
        number = 0
        while number < self.objectcounter:  # formatting an object may register more of them
            number += 1
            if number in self.numberToId:
                name = self.numberToId[number]
                self._offset(number)
                self._put(PDFIndirectObject(name, self.idToObject[name]).format(self))

    def _write_table(self) -> int:
        start = self._position
        self._put(b"xref\n0 %d\n0000000000 65535 f \n" % (len(self._offsets) + 1))
        for i in range(0, len(self._offsets), _XREF_CHUNK):
            self._put(b"".join(b"%010d 00000 n \n" % offset for offset in self._offsets[i : i + _XREF_CHUNK]))
        return start

    def _finish_leaf(self) -> None:
        self._write(self._leaf, _node(f"/Parent {self._root} 0 R ", self._kids, len(self._kids)))
        self._leaves.append(self._leaf)
        self._kids = []

    def _reserve(self) -> int:
        self.objectcounter += 1
        return int(self.objectcounter)

    def _offset(self, number: int) -> None:
        self._offsets.extend([0] * (number - len(self._offsets)))
        self._offsets[number - 1] = self._position

    def _write(self, number: int, body: bytes) -> int:
        self._offset(number)
        self._put(b"%d 0 obj\n%s\nendobj\n" % (number, body.rstrip(b"\n")))
        return number

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._position += self._sink.write(data)


class StreamingCanvas(Canvas):  # type: ignore[misc] # reportlab has no types
    """A canvas on a StreamingDocument; ends with `finish` instead of `save`."""

    def __init__(self, sink: Sink, *, title: str, author: str, created_at: datetime) -> None:
        super().__init__("", pageCompression=1, invariant=1)
        self._doc = StreamingDocument(sink, created_at)
        self.setTitle(title)
        self.setAuthor(author)
        self.setCreator("export_pipelines")
        self.setSubject("")

    @property
    def document(self) -> StreamingDocument:
        """The document that fonts are added to."""
        return self._doc

    def finish(self) -> None:
        """Write the end of the file."""
        self._doc.finish()

    def _make_preamble(self) -> None:
        self._preamble = "1 0 0 1 0 0 cm"  # ReportLab's own names Helvetica, which is not embedded


def _node(parent: str, kids: list[int], count: int) -> bytes:
    references = " ".join(f"{kid} 0 R" for kid in kids)
    return f"<< /Type /Pages {parent}/Count {count} /Kids [ {references} ] >>".encode()


def _utc_offset(moment: datetime) -> tuple[int, int]:
    offset = moment.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    return int(minutes / 60), abs(minutes) % 60
