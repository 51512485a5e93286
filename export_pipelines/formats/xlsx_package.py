"""The parts of a workbook that do not depend on rows: names, styles, lists of parts, properties."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC

from export_pipelines.formats.base import Document
from export_pipelines.formats.xlsx_text import escape_text
from export_pipelines.spec.formats import XlsxFormat

ROW_HEIGHT = 15  # points, for one line of text
HEADER_STYLE = 1
LINES_STYLE = 2  # text of several lines
_FIRST_STYLE = 3  # style 0 is the plain cell
_FIRST_FORMAT = 164  # Excel reserves the number formats below
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument"
_SHEET_NAME_UNITS = 31
_RESERVED = "history"  # Excel keeps this sheet name for its change log


@dataclass(frozen=True)
class Sheet:
    """A finished sheet: its name and the range of its cells, such as `$A$1:$L$100`."""

    name: str
    cells: str


class Styles:
    """The number formats in use, each one style of cells."""

    def __init__(self, spec: XlsxFormat) -> None:
        self._spec = spec
        self._formats: list[str] = []

    def of(self, number_format: str) -> int:
        """The style number of cells that show numbers as `number_format`, such as `0.00`."""
        if number_format not in self._formats:
            self._formats.append(number_format)
        return _FIRST_STYLE + self._formats.index(number_format)

    def part(self) -> str:
        """The styles part."""
        numbers = range(_FIRST_FORMAT, _FIRST_FORMAT + len(self._formats))
        codes = [
            f'<numFmt numFmtId="{n}" formatCode="{escape_text(code)}"/>'
            for n, code in zip(numbers, self._formats, strict=True)
        ]
        plain = '<xf numFmtId="0" fontId="0" fillId="0" borderId="0"'
        cells = [
            f'{plain} xfId="0"/>',
            '<xf numFmtId="0" fontId="1" fillId="2" borderId="0" xfId="0" applyFont="1" applyFill="1"'
            ' applyAlignment="1"><alignment vertical="center"/></xf>',
            f'{plain} xfId="0" applyAlignment="1"><alignment vertical="top" wrapText="1"/></xf>',
            *(
                f'<xf numFmtId="{n}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
                for n in numbers
            ),
        ]
        font = '<sz val="11"/>{}<name val="Calibri"/><family val="2"/>'
        header_font = "<b/>" + font.format(f'<color rgb="FF{self._spec.header_font.upper()}"/>')
        colour = f'<fgColor rgb="FF{self._spec.header_fill.upper()}"/><bgColor indexed="64"/>'
        # Excel keeps the first two fills for itself.
        patterns = ['patternType="none"/>', 'patternType="gray125"/>', f'patternType="solid">{colour}</patternFill>']
        return "".join(
            (
                f'{_XML}<styleSheet xmlns="{_MAIN}">',
                _counted("numFmts", codes) if codes else "",
                _counted("fonts", [f"<font>{font.format('')}</font>", f"<font>{header_font}</font>"]),
                _counted("fills", [f"<fill><patternFill {pattern}</fill>" for pattern in patterns]),
                '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>',
                _counted("cellStyleXfs", [f"{plain}/>"]),
                _counted("cellXfs", cells),
                '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
            )
        )


def sheet_name(wanted: str, taken: Iterable[str]) -> str:
    """A name that Excel accepts and that differs from those taken: `wanted`, shortened or numbered where it must be.

    Excel's rules: at most 31 UTF-16 units, none of `[ ] : * ? / \\`, no apostrophe at the ends, and names do not
    differ in case only.
    """
    stem = re.sub(r"[\[\]:*?/\\\x00-\x1f\ufffe\uffff]", "_", wanted).strip("' ") or "Sheet"
    used = {name.casefold() for name in taken} | {_RESERVED}
    number = 1
    while True:
        suffix = f" ({number})" if number > 1 else ""
        units = stem.encode("utf-16-le")[: 2 * (_SHEET_NAME_UNITS - len(suffix))]
        name = units.decode("utf-16-le", "ignore").rstrip("'") + suffix
        if name.casefold() not in used:
            return name
        number += 1


def sheet_head(widths: list[int], *, first: bool, frozen: bool) -> str:
    """What stands before a sheet's rows; the `first` sheet is the one in sight, `widths` are in characters."""
    pane = (
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/><selection pane="bottomLeft"/>'
        if frozen
        else ""
    )
    selected = ' tabSelected="1"' if first else ""
    columns = (f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>' for n, width in enumerate(widths, 1))
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView{selected} workbookViewId="0">{pane}</sheetView>'
        f'</sheetViews><sheetFormatPr defaultRowHeight="{ROW_HEIGHT}"/><cols>{"".join(columns)}</cols><sheetData>'
    )


def sheet_tail(cells: str, *, filtered: bool) -> str:
    """What stands after the rows of a sheet with these cells, such as `$A$1:$L$100`."""
    cells = cells.replace("$", "")
    arrows = f'<autoFilter ref="{cells}"/>' if filtered else ""
    # Otherwise Excel marks every text like "0012" as a mistake.
    quiet = f'<ignoredErrors><ignoredError sqref="{cells}" numberStoredAsText="1"/></ignoredErrors>'
    return f"</sheetData>{arrows}{quiet}</worksheet>"


def workbook_part(sheets: list[Sheet], *, filtered: bool) -> str:
    """The list of sheets; with `filtered`, also the hidden names that Excel expects beside filter arrows."""
    listed = (
        f'<sheet name="{escape_text(sheet.name)}" sheetId="{n}" r:id="rId{n}"/>' for n, sheet in enumerate(sheets, 1)
    )
    names = (
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{n}" hidden="1">{_quoted(sheet.name)}!{sheet.cells}'
        "</definedName>"
        for n, sheet in enumerate(sheets)
    )
    return (
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}/relationships">'
        f'<bookViews><workbookView xWindow="0" yWindow="0" windowWidth="28800" windowHeight="15000"/></bookViews>'
        f"<sheets>{''.join(listed)}</sheets>"
        + (f"<definedNames>{''.join(names)}</definedNames>" if filtered else "")
        + "</workbook>"
    )


def workbook_relations_part(sheets: int) -> str:
    """Which part is which sheet, and where the styles are."""
    targets = [("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, sheets + 1)]
    return _relations(
        [(f"{_OFFICE}/relationships/{kind}", target) for kind, target in [*targets, ("styles", "styles.xml")]]
    )


def package_relations_part() -> str:
    """Where the workbook and its properties are."""
    core = f"{_PACKAGE}/relationships/metadata/core-properties"
    return _relations(
        [
            (f"{_OFFICE}/relationships/officeDocument", "xl/workbook.xml"),
            (core, "docProps/core.xml"),
            (f"{_OFFICE}/relationships/extended-properties", "docProps/app.xml"),
        ]
    )


def content_types_part(sheets: int) -> str:
    """The media type of each part."""
    kinds = {
        "xl/workbook.xml": f"{_KIND}.spreadsheetml.sheet.main+xml",
        **{f"xl/worksheets/sheet{n}.xml": f"{_KIND}.spreadsheetml.worksheet+xml" for n in range(1, sheets + 1)},
        "xl/styles.xml": f"{_KIND}.spreadsheetml.styles+xml",
        "docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        "docProps/app.xml": f"{_KIND}.extended-properties+xml",
    }
    overrides = (f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in kinds.items())
    return (
        f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{"".join(overrides)}</Types>'
    )


def core_properties_part(document: Document) -> str:
    """Title, description and time of creation, as file managers and Excel show them."""
    created = document.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f'{_XML}<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{escape_text(f'{document.export} {document.partition}')}</dc:title>"
        "<dc:creator>export_pipelines</dc:creator>"
        f"<dc:description>{escape_text(document.description)}</dc:description>"
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{created}</dcterms:created>'
        f'<dcterms:modified xsi:type="dcterms:W3CDTF">{created}</dcterms:modified></cp:coreProperties>'
    )


def app_properties_part() -> str:
    """The program that wrote the file."""
    application = "<Application>export_pipelines</Application>"
    return f'{_XML}<Properties xmlns="{_OFFICE}/extended-properties">{application}</Properties>'


def _relations(targets: list[tuple[str, str]]) -> str:
    items = (f'<Relationship Id="rId{n}" Type="{kind}" Target="{t}"/>' for n, (kind, t) in enumerate(targets, 1))
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{"".join(items)}</Relationships>'


def _counted(tag: str, items: list[str]) -> str:
    return f'<{tag} count="{len(items)}">{"".join(items)}</{tag}>'


def _quoted(name: str) -> str:
    return "'" + escape_text(name.replace("'", "''")) + "'"
