"""XlsxWriter in its mode `constant_memory`, with our header, widths, number formats, frozen row and filter."""

import polars as pl
import xlsxwriter

from benchmarks.speed.stopwatch import job, measured

WIDTHS = [10, 20, 28, 11, 20, 12, 14, 8, 26, 8, 12, 14]


def write(path: str, frame: pl.DataFrame) -> None:
    """Every cell by its kind."""
    with xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_formulas": False}) as book:
        head = book.add_format({"bold": True, "bg_color": "#1F4E78", "font_color": "#FFFFFF", "valign": "vcenter"})
        day, moment = (book.add_format({"num_format": text}) for text in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"))
        money = book.add_format({"num_format": "0.00"})
        sheet = book.add_worksheet("rows")
        for column, width in enumerate(WIDTHS):
            sheet.set_column(column, column, width)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, len(frame), len(frame.columns) - 1)
        for column, name in enumerate(frame.columns):
            sheet.write_string(0, column, name, head)
        for number, row in enumerate(frame.iter_rows(), start=1):
            sheet.write_number(number, 0, row[0])
            sheet.write_string(number, 1, row[1])
            sheet.write_string(number, 2, row[2])
            sheet.write_datetime(number, 3, row[3], day)
            sheet.write_datetime(number, 4, row[4].replace(tzinfo=None), moment)
            sheet.write_number(number, 5, row[5], money)
            sheet.write_number(number, 6, row[6])
            sheet.write_boolean(number, 7, row[7])
            if row[8] is not None:
                sheet.write_string(number, 8, row[8])
            if row[9] is not None:
                sheet.write_number(number, 9, row[9])
            sheet.write_string(number, 10, row[10])
            sheet.write_number(number, 11, row[11])


def main() -> None:
    """Warm up, then measure; reading the Parquet file counts."""
    what = job()
    write(f"{what['out']}.few.xlsx", pl.read_parquet(what["parquet"], n_rows=2000))
    with measured(what):
        write(f"{what['out']}.xlsx", pl.read_parquet(what["parquet"], n_rows=what["rows"]))


if __name__ == "__main__":
    main()
