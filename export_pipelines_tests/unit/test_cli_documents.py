"""Answers as JSON: the quick way of writing them says what the encoder of the standard library says."""

import json
import re
import sys
from datetime import UTC, date, datetime, timezone
from decimal import Decimal
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.cli.documents import Rows, write_json
from export_pipelines.cli.main import main

_instants = st.datetimes(timezones=st.timezones()).filter(lambda value: 1 < value.year < 9999)


def _mappings(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.text(), inner) | st.dictionaries(st.integers(), inner)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | _instants,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | _mappings(inner),
    max_leaves=30,
)


def _ordinary(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    assert isinstance(value, date)
    return value.isoformat()


def _written(document: dict[str, Any]) -> str:
    @click.command()
    def command() -> None:
        write_json(document)

    return CliRunner().invoke(command, catch_exceptions=False).stdout


@given(_values)
def test_says_what_the_standard_library_says(value: Any) -> None:
    ordinary = json.dumps({"value": value}, default=_ordinary, indent=2, ensure_ascii=False)
    found = _written({"value": value})
    assert repr(json.loads(found)) == repr(json.loads(ordinary))
    if not re.search(r"\de-", ordinary):  # small numbers are the same, and spelled otherwise
        assert found == f"{ordinary}\n"


_plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(timezones=st.just(UTC))


@given(st.lists(st.dictionaries(st.text(), _plain | st.lists(_plain).map(tuple))))
def test_rows_are_written_as_the_list_of_them(rows: list[dict[str, Any]]) -> None:
    assert _written({"rows": Rows(dict, rows), "more": True}) == _written({"rows": rows, "more": True})


@pytest.mark.parametrize("value", [Decimal(1), object(), {1, 2}, b"x"])
def test_refuses_what_has_no_place_in_json(value: object) -> None:
    with pytest.raises(TypeError):
        _written({"value": [value]})


def test_writes_names_that_are_not_utf_8() -> None:
    runner, entry = CliRunner(charset="utf-8"), {"name": "caf\udce9", "at": datetime(2026, 3, 1, tzinfo=UTC)}
    document = {**entry, "rows": Rows(dict, [entry])}

    @click.command()
    def command() -> None:
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
        write_json(document)

    found = runner.invoke(command, catch_exceptions=False).stdout_bytes
    written = {"name": "caf\udce9", "at": "2026-03-01T00:00:00Z"}
    assert json.loads(found.decode(errors="surrogateescape")) == {**written, "rows": [written]}


def test_instants_are_in_utc() -> None:
    instant = datetime(2026, 3, 1, 12, 30, tzinfo=timezone.max)
    assert json.loads(_written({"at": instant})) == {"at": "2026-02-28T12:31:00Z"}


def test_commands_write_documents() -> None:
    assert json.loads(CliRunner().invoke(main, ["schema"]).stdout)
