"""Pages being filled from top to bottom, and the title that opens the first one."""

from __future__ import annotations

from dataclasses import dataclass, field

from export_pipelines.formats.base import Document
from export_pipelines.formats.pdf_document import StreamingCanvas
from export_pipelines.formats.pdf_fonts import Typeface
from export_pipelines.formats.pdf_layout import MARGIN, wrap
from export_pipelines.formats.pdf_rows import INK

GREY = "0.45 g"
BOTTOM = MARGIN + 14.0  # the footer stands below
LEADING = 1.2  # distance of baselines, in em
BASELINE = 0.95  # of a line's first baseline below its top, in em; puts capitals in the middle of the line
SMALL = 7.5
_TITLE = 16.0
_SUBTITLE = 8.5
_RULES = "0.4 w 0.84 G"


@dataclass(frozen=True)
class Style:
    """Typeface, size in points, and the operator that sets the colour."""

    typeface: Typeface
    size: float
    ink: str

    @property
    def operators(self) -> str:
        """What puts the style into effect."""
        return f"{self.typeface.name} {self.size:.3f} Tf {self.ink}"


@dataclass(frozen=True)
class Page:
    """The operators of one page: shapes first, text on top."""

    shapes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def set(self, text: str, x: float, y: float, *, style: Style) -> None:
        """Set a printable `text` with the left end of its baseline at (x, y)."""
        shown = style.typeface.show(text, style.size)
        self.texts.append(f"{style.operators} 1 0 0 1 {x:.2f} {y:.2f} Tm {shown}")


class Pages:
    """The pages that are open now: one, or one for each band of a wide table, all filled to the same height `y`."""

    def __init__(self, canvas: StreamingCanvas, *, regular: Typeface, medium: Typeface, footer: str) -> None:
        self.regular, self.medium = regular, medium
        self.open: list[Page] = []
        self.size = (0.0, 0.0)
        self.y = 0.0
        self._canvas = canvas
        self._footer = regular.printable(footer)
        self._number = 0

    @property
    def room(self) -> float:
        """The height in points that is left above the footer."""
        return self.y - BOTTOM if self.open else 0.0

    def turn(self, size: tuple[float, float], pages: int) -> None:
        """Write the open pages and open `pages` new ones of `size`."""
        self.flush()
        self.open = [Page() for _ in range(pages)]
        self.size = size
        self.y = size[1] - MARGIN

    def flush(self) -> None:
        """Write the open pages."""
        for page in self.open:
            self._number += 1
            self._draw_footer(page)
            self._canvas.setPageSize(self.size)
            self._canvas.addLiteral("\n".join([_RULES, *page.shapes, "BT", *page.texts, "ET"]))
            self._canvas.showPage()
        self.open = []

    def paragraph(self, text: str, *, style: Style) -> None:
        """Set any `text`, wrapped, on the first open page, and move down on all of them."""
        width = (self.size[0] - 2 * MARGIN) / style.size
        for part in style.typeface.printable(text).split("\n"):
            for line in wrap(part, width, style.typeface.measure):
                if self.room < style.size * LEADING:
                    self.turn(self.size, len(self.open))
                self.y -= style.size * LEADING
                self.open[0].set(line, MARGIN, self.y, style=style)

    def _draw_footer(self, page: Page) -> None:
        number = f"page {self._number}"
        style = Style(self.regular, SMALL, GREY)
        right = self.size[0] - MARGIN - self.regular.measure(number) * SMALL
        footer = one_line(self._footer, (right - MARGIN) / SMALL - 2, self.regular)
        page.set(footer, MARGIN, MARGIN - 4, style=style)
        page.set(number, right, MARGIN - 4, style=style)


def one_line(text: str, width: float, typeface: Typeface) -> str:
    """A printable label, shortened to `width` em; only for what is printed in full elsewhere."""
    lines = wrap(text.replace("\n", " "), width - 1, typeface.measure)
    return lines[0].rstrip() + "…" if len(lines) > 1 else lines[0]


def draw_title(pages: Pages, title: str, document: Document) -> None:
    """Title, description and the facts of the file, at the top of the first page."""
    pages.paragraph(title, style=Style(pages.medium, _TITLE, INK))
    pages.y -= 3
    subtitle = Style(pages.regular, _SUBTITLE, GREY)
    if document.description and document.description not in title:
        pages.paragraph(document.description, style=subtitle)
    zone = getattr(document.window_start.tzinfo, "key", None) or document.window_start.strftime("UTC%z")
    start, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in (document.window_start, document.window_end))
    facts = f"{start} until before {end}, {zone} · created {document.created_at:%Y-%m-%d %H:%M:%S}"
    pages.paragraph(facts, style=subtitle)
    pages.y -= 8
