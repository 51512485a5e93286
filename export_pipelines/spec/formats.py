"""Output formats: one model per `type`. A bare name (`csv`) means its model with defaults."""

from __future__ import annotations

import codecs
from string import Formatter
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from export_pipelines.spec.base import Name, SpecModel

Compression = Literal["none", "gzip", "zstd", "zip"]

# utf-16 and utf-8-sig begin with a byte order mark anyway; other encodings have none.
_ENCODINGS_WITH_MARK = ("utf-8", "utf-16-le", "utf-16-be")


class Format(SpecModel):
    """What all formats share."""

    name: Name | None = Field(
        None,
        description="File name stem; the default is the dataset's name, or the export's if a file holds all datasets.",
        examples=["students_for_registrar"],
    )

    @property
    def combines(self) -> bool:
        """Whether all datasets of the export go into one file of this format."""
        return False

    @property
    def wrapping(self) -> Compression:
        """How the file is compressed as a whole; `none` too for formats that compress inside."""
        return "none"


class _TextFormat(Format):
    compression: Compression = Field("none", description="Compress the file.", examples=["gzip"])

    @property
    def wrapping(self) -> Compression:
        """Text compresses well."""
        return self.compression


class CsvFormat(_TextFormat):
    """Comma-separated values, RFC 4180; NULL is an empty field, an empty string is `\"\"`."""

    type: Literal["csv"] = Field("csv", description="Selects this format.", examples=["csv"])
    delimiter: str = Field(",", min_length=1, max_length=1, description="Field separator.", examples=[";", "\t"])
    quote: str = Field('"', min_length=1, max_length=1, description="Quote character.", examples=['"'])
    quoting: Literal["necessary", "all"] = Field(
        "necessary", description="Quote only where needed, or every field that is not NULL.", examples=["all"]
    )
    header: bool = Field(True, description="Write the column names as first line.", examples=[False])
    bom: bool = Field(False, description="Begin with a byte order mark, so that Excel reads UTF-8.", examples=[True])
    encoding: str = Field("utf-8", description="Character encoding, any that Python knows.", examples=["cp1252"])
    line_end: Literal["lf", "crlf"] = Field("lf", description="Line end: \\n or \\r\\n.", examples=["crlf"])
    null_text: str = Field("", description="Text of NULL; text cells equal to it are quoted.", examples=["NULL"])

    @field_validator("delimiter", "quote")
    @classmethod
    def _apart(cls, value: str) -> str:
        if not value.isascii() or value.isalnum() or value in "\r\n\0+-.":
            raise ValueError("must be one ASCII character that numbers, words and lines do not contain")
        return value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            "a".encode(value)
        except (LookupError, UnicodeError):
            raise ValueError(f"unknown encoding {value!r}; examples: utf-8, utf-16, cp1252, iso8859-15") from None
        return codecs.lookup(value).name

    @model_validator(mode="after")
    def _readable(self) -> CsvFormat:
        if self.delimiter == self.quote:
            raise ValueError(f"delimiter and quote must differ, both are {self.quote!r}")
        if set(self.null_text) & {self.delimiter, self.quote, "\r", "\n"}:
            raise ValueError(f"null_text {self.null_text!r} must not contain the delimiter, the quote or a line end")
        if self.bom and self.encoding not in _ENCODINGS_WITH_MARK:
            raise ValueError(f"bom needs one of the encodings {', '.join(_ENCODINGS_WITH_MARK)}, not {self.encoding}")
        return self


class JsonFormat(_TextFormat):
    """One JSON document: an array of rows, or an object with one array per dataset."""

    type: Literal["json"] = Field("json", description="Selects this format.", examples=["json"])
    shape: Literal["array", "object"] = Field(
        "array",
        description="`array`: one file per dataset; `object`: one file {dataset: [rows], …}.",
        examples=["object"],
    )
    decimals: Literal["string", "number"] = Field(
        "string",
        description="Write decimals exactly as text, or as numbers that readers may round.",
        examples=["number"],
    )

    @property
    def combines(self) -> bool:
        """The object shape holds all datasets."""
        return self.shape == "object"


class JsonlFormat(_TextFormat):
    """JSON Lines: one object per row."""

    type: Literal["jsonl"] = Field("jsonl", description="Selects this format.", examples=["jsonl"])
    decimals: Literal["string", "number"] = Field(
        "string",
        description="Write decimals exactly as text, or as numbers that readers may round.",
        examples=["number"],
    )


class ParquetFormat(Format):
    """Apache Parquet with the source's exact types."""

    type: Literal["parquet"] = Field("parquet", description="Selects this format.", examples=["parquet"])
    compression: Literal["zstd", "snappy", "none"] = Field(
        "zstd", description="Column compression.", examples=["snappy"]
    )
    row_group_rows: int = Field(65_536, ge=1_000, le=1_048_576, description="Rows per row group.", examples=[131_072])


class XlsxFormat(Format):
    """Excel workbook, one sheet per dataset."""

    type: Literal["xlsx"] = Field("xlsx", description="Selects this format.", examples=["xlsx"])
    header_fill: str = Field(
        "1F4E78", pattern=r"^[0-9A-Fa-f]{6}$", description="Header background, RRGGBB.", examples=["1F4E78"]
    )
    header_font: str = Field(
        "FFFFFF", pattern=r"^[0-9A-Fa-f]{6}$", description="Header text colour, RRGGBB.", examples=["FFFFFF"]
    )
    freeze_header: bool = Field(True, description="Keep the first row in sight.", examples=[False])
    autofilter: bool = Field(True, description="Add filter arrows to the header.", examples=[False])

    @property
    def combines(self) -> bool:
        """All datasets share the file."""
        return True


class PdfFormat(Format):
    """PDF report, one section per dataset."""

    type: Literal["pdf"] = Field("pdf", description="Selects this format.", examples=["pdf"])
    title: str = Field(
        "{export} {partition}",
        description="Title line; may use {export}, {partition}, {description}.",
        examples=["Students {partition}"],
    )
    page_size: Literal["A3", "A4", "A5", "LETTER", "LEGAL"] = Field("A4", description="Paper.", examples=["LETTER"])
    orientation: Literal["auto", "portrait", "landscape"] = Field(
        "auto", description="`auto` turns the page when the columns need it.", examples=["landscape"]
    )
    header_fill: str = Field(
        "1F4E78", pattern=r"^[0-9A-Fa-f]{6}$", description="Header background, RRGGBB.", examples=["1F4E78"]
    )
    font_size: float = Field(8, ge=4, le=16, description="Text size of cells, in points.", examples=[9])

    @property
    def combines(self) -> bool:
        """All datasets share the file."""
        return True

    @field_validator("title")
    @classmethod
    def _placeholders(cls, value: str) -> str:
        try:
            fields = [part[1:] for part in Formatter().parse(value) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"{value!r}: {error}") from None
        if any(name not in {"export", "partition", "description"} or rest != ["", None] for name, *rest in fields):
            raise ValueError("may use {export}, {partition} and {description} only")
        return value


def _expand(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


_Mapping = Annotated[
    CsvFormat | JsonFormat | JsonlFormat | ParquetFormat | XlsxFormat | PdfFormat, Field(discriminator="type")
]
_Shorthand = Literal["csv", "json", "jsonl", "parquet", "xlsx", "pdf"]

FormatSpec = Annotated[_Mapping, BeforeValidator(_expand, json_schema_input_type=_Shorthand | _Mapping)]
"""One requested format: a name or a mapping with `type`."""
