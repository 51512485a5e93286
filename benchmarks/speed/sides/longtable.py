"""ReportLab's platypus: a `LongTable` with our font, size, header, lines and page numbers. It wraps no text."""

from pathlib import Path

import font_roboto
import polars as pl
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import LongTable, SimpleDocTemplate

from benchmarks.speed.stopwatch import job, measured

WIDTHS = [44, 88, 118, 52, 110, 52, 66, 36, 96, 38, 56, 56]


def page(canvas, document) -> None:
    """The number of the page."""
    canvas.setFont("Roboto", 7)
    canvas.drawRightString(document.pagesize[0] - 30, 18, str(canvas.getPageNumber()))


def write(path: str, frame: pl.DataFrame) -> None:
    """All rows as texts, in one table that splits over pages."""
    texts = frame.with_columns(pl.col("seen_at").dt.to_string("%Y-%m-%d %H:%M:%S")).select(
        pl.all().cast(pl.String).fill_null("–")
    )
    style = [
        ("FONT", (0, 0), (-1, -1), "Roboto", 7),
        ("FONT", (0, 0), (-1, 0), "RobotoMedium", 7),
        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#E8EDF2")),
        ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.HexColor("#D0D0D0")),
        *(("ALIGN", (column, 0), (column, -1), "RIGHT") for column in (0, 5, 6, 9, 11)),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
    rows = [frame.columns, *texts.iter_rows()]
    table = LongTable(rows, colWidths=WIDTHS, repeatRows=1, style=style)
    document = SimpleDocTemplate(
        path, pagesize=landscape(A4), leftMargin=12, rightMargin=12, topMargin=30, bottomMargin=30
    )
    document.build([table], onFirstPage=page, onLaterPages=page)


def main() -> None:
    """Warm up, then measure."""
    what = job()
    for name, font in (("Roboto", font_roboto.Roboto), ("RobotoMedium", font_roboto.RobotoMedium)):
        pdfmetrics.registerFont(TTFont(name, str(Path(font))))
    write(f"{what['out']}.few.pdf", pl.read_parquet(what["parquet"], n_rows=200))
    with measured(what):
        write(f"{what['out']}.pdf", pl.read_parquet(what["parquet"], n_rows=what["rows"]))


if __name__ == "__main__":
    main()
