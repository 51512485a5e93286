"""The hash of contents: the same however rows are cut, another one for anything else."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from export_pipelines.content import ContentHash

INSTANTS = st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01"))
WORDS = st.text(max_size=5)
SMALL = st.integers(-3, 3)
FLAT: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1) | SMALL,
    pa.int32(): SMALL,
    pa.int16(): SMALL,
    pa.float64(): st.floats() | st.sampled_from([0.0, -0.0, 1.0]),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.string(): WORDS,
    pa.large_string(): WORDS,
    pa.binary(): st.binary(max_size=4),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): INSTANTS,
    pa.timestamp("us", "UTC"): INSTANTS.map(lambda instant: instant.replace(tzinfo=UTC)),
    pa.duration("us"): st.timedeltas(timedelta(-9), timedelta(9)),
    pa.decimal128(20, 2): st.decimals(-1000, 1000, places=2),
    pa.decimal256(50, 1): st.decimals(-10, 10, places=1),
}
ODD: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.null(): st.none(),
    pa.string_view(): WORDS,
    pa.dictionary(pa.int32(), pa.string()): WORDS,
    pa.list_(pa.int64()): st.lists(st.none() | SMALL, max_size=3),
    pa.list_(pa.list_(pa.string())): st.lists(st.none() | st.lists(WORDS, max_size=2), max_size=2),
    pa.list_(pa.int16(), 2): st.lists(SMALL, min_size=2, max_size=2),
    pa.large_list(pa.bool_()): st.lists(st.none() | st.booleans(), max_size=3),
    pa.struct({"a": pa.int64(), "b": pa.string()}): st.fixed_dictionaries({"a": st.none() | SMALL, "b": WORDS}),
    pa.map_(pa.string(), pa.int64()): st.dictionaries(WORDS, st.none() | SMALL, max_size=2).map(lambda d: [*d.items()]),
    pa.uuid(): st.binary(min_size=16, max_size=16),
}
TYPES = FLAT | ODD
GOLDEN = "5815a61900ec3903f93d5e9f2930d34bd6443f69c5f03451d1c2e4519e81c584"
Table = dict[str, tuple[pa.DataType, list[Any]]]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Name -> type and values; each column has the same number of them."""
    rows = draw(st.integers(0, 12))
    names = draw(st.lists(st.text(max_size=3), min_size=1, max_size=3, unique=True))
    kinds = [draw(st.sampled_from(list(TYPES))) for _ in names]
    columns = [draw(st.lists(st.none() | TYPES[kind], min_size=rows, max_size=rows)) for kind in kinds]
    return {name: (kind, values) for name, kind, values in zip(names, kinds, columns, strict=True)}


def batch_of(table: Table) -> pa.RecordBatch:
    schema = pa.schema([pa.field(name, kind) for name, (kind, _) in table.items()])
    return pa.RecordBatch.from_arrays([pa.array(values, kind) for kind, values in table.values()], schema=schema)


def hashed(*batches: pa.RecordBatch, name: str = "d") -> str:
    content = ContentHash()
    content.begin(name, batches[0].schema)
    for batch in batches:
        content.add(batch)
    return content.hexdigest()


def hash_of(values: Sequence[Any], kind: pa.DataType) -> str:
    return hashed(batch_of({"c": (kind, list(values))}))


def known(table: Table) -> list[Any]:
    """What the hash must depend on, told by Python: which texts, numbers and nulls, of which types."""
    return [(name, str(kind), [repr(value) for value in values]) for name, (kind, values) in table.items()]


@settings(max_examples=400, deadline=None)
@given(tables(), st.data())
def test_cuts_do_not_matter(table: Table, data: st.DataObject) -> None:
    whole = batch_of(table)
    rows = whole.num_rows
    cuts = sorted({0, rows, *data.draw(st.lists(st.integers(0, rows), max_size=4))})
    slices = [whole.slice(begin, end - begin) for begin, end in pairwise(cuts)]
    anew = [
        batch_of({name: (kind, values[begin:end]) for name, (kind, values) in table.items()})
        for begin, end in pairwise(cuts)
    ]
    before = [column.to_pylist() for column in whole.columns]
    assert hashed(whole) == hashed(whole.slice(0, 0), *slices) == hashed(*(anew or [whole]))
    assert [repr(column.to_pylist()) for column in whole.columns] == [repr(values) for values in before]


@settings(max_examples=400, deadline=None)
@given(tables(), st.data())
def test_any_change_matters(table: Table, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(table)))
    kind, values = table[name]
    ways = ["name", "type", "row"] + (["cell", "order", "fewer"] if values else [])
    changed = dict(table)
    match data.draw(st.sampled_from(ways)):
        case "name":
            changed = {(f"{key}x" if key == name else key): column for key, column in table.items()}
        case "type":
            other = data.draw(st.sampled_from([pa.int64(), pa.string()]))
            assume(other != kind)
            changed[name] = (other, [None] * len(values))
        case "row":
            changed = {key: (of, [*column, None]) for key, (of, column) in table.items()}
        case "cell":
            place = data.draw(st.integers(0, len(values) - 1))
            value = data.draw(st.none() | TYPES[kind])
            changed[name] = (kind, [*values[:place], value, *values[place + 1 :]])
        case "order":
            order = data.draw(st.permutations(range(len(values))))
            changed = {key: (of, [column[place] for place in order]) for key, (of, column) in table.items()}
        case "fewer":
            changed = {key: (of, column[:-1]) for key, (of, column) in table.items()}
    same = known(changed) == known(table)
    assert (hashed(batch_of(changed)) == hashed(batch_of(table))) == same


@pytest.mark.parametrize("kind", FLAT, ids=str)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_what_lies_below_nulls_does_not_matter(kind: pa.DataType, data: st.DataObject) -> None:
    full = pa.array(data.draw(st.lists(FLAT[kind], min_size=1, max_size=10)), kind)
    valid = pa.array([data.draw(st.booleans()) for _ in full])
    buffers = [valid.buffers()[1], *full.buffers()[1:]]
    covered = pa.Array.from_buffers(kind, len(full), buffers)
    clean = pa.array(pc.if_else(valid, full, pa.scalar(None, kind)).to_pylist(), kind)
    below = covered.buffers()[-1].to_pybytes()
    assert hashed(pa.record_batch({"c": covered})) == hashed(pa.record_batch({"c": clean}))
    assert covered.buffers()[-1].to_pybytes() == below


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (pa.string(), ["ab", "c"], ["a", "bc"]),
        (pa.string(), ["", None], [None, ""]),
        (pa.string(), [None], [""]),
        (pa.string(), ["a", None], ["a"]),
        (pa.int64(), [0], [None]),
        (pa.bool_(), [False], [None]),
        (pa.float64(), [0.0], [-0.0]),
        (pa.float64(), [math.nan], [None]),
        (pa.decimal128(12, 2), [Decimal("0.00")], [None]),
        (pa.date32(), [date(1970, 1, 1)], [None]),
        (pa.time64("us"), [time(0)], [None]),
        (pa.list_(pa.int64()), [[1], [2]], [[1, 2], []]),
        (pa.list_(pa.int64()), [[None]], [[]]),
        (pa.list_(pa.int64()), [None], [[]]),
        (pa.struct({"a": pa.int64()}), [None], [{"a": None}]),
    ],
)
def test_these_differ(kind: pa.DataType, one: list[Any], other: list[Any]) -> None:
    assert hash_of(one, kind) != hash_of(other, kind)


def test_columns_datasets_and_their_order_matter() -> None:
    one, two = batch_of({"a": (pa.int64(), [1]), "b": (pa.int64(), [2])}), batch_of({"a": (pa.int64(), [1])})
    assert len({hashed(one), hashed(one.select(["b", "a"])), hashed(two), hashed(one, name="e")}) == 4
    orders = []
    for names in (("a", "b"), ("b", "a")):
        content = ContentHash()
        for name in names:
            content.begin(name, two.schema)
            content.add(two)
        orders.append(content.hexdigest())
    assert orders[0] != orders[1]


def test_nullable_columns_differ_from_others() -> None:
    one = pa.schema([pa.field("c", pa.int64(), nullable=False)])
    assert hashed(pa.record_batch([pa.array([1])], schema=one)) != hash_of([1], pa.int64())


def test_not_a_number_is_one_value_whatever_its_bits() -> None:
    bits = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64).view(np.float64)
    assert hashed(pa.record_batch({"c": pa.array(bits[:1])})) == hashed(pa.record_batch({"c": pa.array(bits[1:])}))


def test_encodings_of_one_type_do_not_matter() -> None:
    one = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", "b"]))
    other = pa.DictionaryArray.from_arrays(pa.array([1, 0, 2]), pa.array(["b", "a", None]))
    assert hashed(pa.record_batch({"c": one})) == hashed(pa.record_batch({"c": other}))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([7, 8]))
    parts = [pa.record_batch({"c": runs.slice(0, 1)}), pa.record_batch({"c": runs.slice(1)})]
    assert hashed(pa.record_batch({"c": runs})) == hashed(*parts)


def test_no_type_is_refused() -> None:
    kinds, places = pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32())
    found = {
        hashed(pa.record_batch({"c": pa.UnionArray.from_dense(kinds, places, [pa.array([1, last]), pa.array(["a"])])}))
        for last in (2, 3)
    }
    assert len(found) == 2
    assert hash_of([(1, 2, 3)], pa.month_day_nano_interval()) != hash_of([(1, 2, 4)], pa.month_day_nano_interval())


def test_the_hash_stays_what_it_is() -> None:
    """Another value would publish every such export once more after an upgrade."""
    values = [
        ("id", pa.int64(), [1, 2]),
        ("name", pa.string(), ["Zoë", None]),
        ("paid", pa.decimal128(12, 2), [None, 1]),
    ]
    table = {name: (kind, column) for name, kind, column in values}
    assert hashed(batch_of(table), name="students") == GOLDEN
