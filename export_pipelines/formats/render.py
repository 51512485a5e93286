"""Record batches as polars frames whose cells the CSV and JSON engines of polars can write.

The same value looks the same in both: moments as `2026-03-29T02:00:00+02:00` with six digits of fraction where there
is one (nine where nanoseconds need them), days as `2026-03-29`, times as `02:00:00`, lengths of time as ISO 8601
(`PT5S`, `P1M2DT3.5S`), UUIDs in their usual form, binary as base64.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator

import polars as pl
import pyarrow as pa
from pyarrow import types

from export_pipelines.errors import FormatError
from export_pipelines.formats.moments import moments, suits
from export_pipelines.formats.plain import FIXED_OFFSET, plain, unwrapped

# Rows rendered at once, so that the text of a large batch is never in memory as a whole.
_ROWS = 16_384
# Marks texts that become JSON numbers; random, so that no cell can hold it.
_NUMBER, _END = (secrets.token_hex(8) for _ in range(2))
_BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_HINT = "Cast the column to text in the query, or use parquet"

Prepare = Callable[[pa.Array], pa.Array]


class Frames:
    """Renders the batches of one dataset."""

    def __init__(
        self, dataset: str, schema: pa.Schema, *, render: Render, prepare: Prepare | None = None, quick: bool = True
    ) -> None:
        """Plan the rendering of `schema`.

        `prepare` changes whole columns before they are rendered. `quick`: usual days and moments are made texts by
        `export_pipelines.formats.moments`, whose text is the same as that of `render`. Raises FormatError if a column
        has no text form.
        """
        self._quick = {i for i, field in enumerate(schema) if quick and suits(unwrapped(field.type))}
        self._dataset = dataset
        self._schema = schema
        self._prepare = prepare or (lambda column: column)
        self._expressions: dict[str, pl.Expr] = {}
        for i in range(len(schema)):
            self._plan(i, render)

    def of(self, batch: pa.RecordBatch) -> Iterator[pl.DataFrame]:
        """The batch's rows as frames with the columns' own names.

        Raises FormatError if a value has no text form.
        """
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            columns = {str(i): self._plain(i, column) for i, column in enumerate(part.columns)}
            texts = {str(i): text for i in self._quick if (text := moments(columns[str(i)])) is not None}
            frame = self._rendered(columns | texts, f"dataset {self._dataset!r}", done=texts)
            frame.columns = self._schema.names
            yield frame

    def _plan(self, i: int, render: Render) -> None:
        kind = self._schema.field(i).type
        empty = self._plain(i, pa.nulls(0, kind))
        # Names may look like patterns to polars, hence columns are addressed by number.
        expression = render(pl.col(str(i)), unwrapped(kind))
        if expression is not None:
            self._expressions[str(i)] = expression
        self._rendered({str(i): empty}, self._place(i))

    def _plain(self, i: int, column: pa.Array) -> pa.Array:
        try:
            return self._prepare(plain(column))
        except (ValueError, NotImplementedError) as error:
            raise FormatError(f"cannot write {self._place(i)}: {error}", hint=_HINT) from error

    def _rendered(self, columns: dict[str, pa.Array], place: str, done: Collection[str] = ()) -> pl.DataFrame:
        wanted = {name: self._expressions[name] for name in columns if name in self._expressions and name not in done}
        try:
            frame = pl.DataFrame(pa.RecordBatch.from_pydict(columns))
            return frame.with_columns(**wanted) if wanted else frame
        except _BROKEN as error:
            reason = str(error).partition("\n")[0]  # the rest is advice about polars
            raise FormatError(f"cannot write {place}: {reason}", hint=_HINT) from error

    def _place(self, i: int) -> str:
        field = self._schema.field(i)
        return f"column {field.name!r} ({field.type}) of dataset {self._dataset!r}"


def as_json(x: pl.Expr, kind: pa.DataType) -> pl.Expr | None:
    """The expression that renders column `x` of type `kind` for JSON, decimals as text; None if it is fine as it is."""
    return next((convert(x, kind, as_json) for applies, convert in _RULES if applies(kind)), None)


def as_json_with_numbers(x: pl.Expr, kind: pa.DataType) -> pl.Expr | None:
    """The same with decimals marked for `numbers`."""
    if types.is_decimal(kind):
        return pl.concat_str([pl.lit(_NUMBER), x.cast(pl.String), pl.lit(_END)])
    return next((convert(x, kind, as_json_with_numbers) for applies, convert in _RULES if applies(kind)), None)


def numbers(text: bytes) -> bytes:
    """The JSON `text` with its marked decimals as numbers, digit for digit."""
    return text.replace(b'"' + _NUMBER.encode(), b"").replace(_END.encode() + b'"', b"")


def as_text(x: pl.Expr, kind: pa.DataType) -> pl.Expr | None:
    """The expression that renders column `x` of type `kind` as one text cell: lists and structs as JSON text."""
    rendered = as_json(x, kind)
    if not _is_nested(kind):
        return rendered
    wrapped = pl.struct((x if rendered is None else rendered).alias("v")).struct.json_encode()
    return pl.when(x.is_not_null()).then(wrapped.str.slice(len('{"v":')).str.strip_suffix("}"))


Render = Callable[[pl.Expr, pa.DataType], pl.Expr | None]


def _moment(x: pl.Expr, kind: pa.DataType, _: Render) -> pl.Expr:
    text = _fraction(x.dt.to_string("%Y-%m-%dT%H:%M:%S" + _digits(kind)), kind)
    if kind.tz is None:
        return text
    if kind.tz in {"UTC", "Etc/UTC", "Z"}:
        return text + pl.lit("+00:00")
    if FIXED_OFFSET.fullmatch(kind.tz):
        return text + pl.lit(kind.tz)
    # Before about 1900 zones were off by seconds too; only then the offset has them.
    return text + x.dt.to_string("%::z").str.strip_suffix(":00")


def _clock(x: pl.Expr, kind: pa.DataType, _: Render) -> pl.Expr:
    return _fraction(x.dt.to_string("%H:%M:%S" + _digits(kind)), kind)


def _digits(kind: pa.DataType) -> str:
    return "%.9f" if kind.unit == "ns" else "" if kind.unit == "s" else "%.6f"


def _fraction(text: pl.Expr, kind: pa.DataType) -> pl.Expr:
    if kind.unit == "ns":
        return text.str.strip_suffix(".000000000").str.strip_suffix("000")
    return text.str.strip_suffix(".000000")


def _interval(x: pl.Expr, _: pa.DataType, __: Render) -> pl.Expr:
    nanoseconds = x.struct.field("nanoseconds")
    sign = pl.when(nanoseconds < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole, rest = nanoseconds.abs() // 10**9, nanoseconds.abs() % 10**9
    fraction = pl.concat_str([pl.lit("."), rest.cast(pl.String).str.zfill(9)]).str.strip_chars_end("0")
    parts = (x.struct.field("months"), x.struct.field("days"), sign, whole, fraction.str.strip_suffix("."))
    return pl.format("P{}M{}DT{}{}{}S", *parts)


def _uuid(x: pl.Expr, _: pa.DataType, __: Render) -> pl.Expr:
    digits = x.bin.encode("hex")
    groups = [digits.str.slice(start, length) for start, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    return pl.concat_str(groups, separator="-")


def _list(x: pl.Expr, kind: pa.DataType, render: Render) -> pl.Expr:
    rendered = render(pl.element(), unwrapped(kind.value_type))
    return x if rendered is None else x.list.eval(rendered)


def _struct(x: pl.Expr, kind: pa.DataType, render: Render) -> pl.Expr:
    fields = []
    for field in kind:
        value = x.struct.field(field.name)
        rendered = render(value, unwrapped(field.type))
        fields.append((value if rendered is None else rendered).alias(field.name))
    return pl.when(x.is_not_null()).then(pl.struct(fields))


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_nested(kind: pa.DataType) -> bool:
    return _is_list(kind) or bool(types.is_struct(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)) or (
        kind == pa.binary_view()
    )


_Rule = tuple[Callable[[pa.DataType], bool], Callable[[pl.Expr, pa.DataType, Render], pl.Expr]]
_RULES: tuple[_Rule, ...] = (
    (lambda kind: isinstance(kind, pa.UuidType), _uuid),
    (types.is_timestamp, _moment),
    (types.is_time, _clock),
    (types.is_duration, lambda x, _, __: x.dt.to_string("iso")),
    (lambda kind: kind == pa.month_day_nano_interval(), _interval),
    (_is_binary, lambda x, _, __: x.bin.encode("base64")),
    (_is_list, _list),
    (types.is_struct, _struct),
)
