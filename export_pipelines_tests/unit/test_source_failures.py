"""What database libraries say, said by us and without secrets."""

from __future__ import annotations

import pyarrow as pa
import pytest

from export_pipelines.errors import (
    ColumnTypeError,
    ConfigurationError,
    ExportError,
    QueryError,
    SourceUnavailableError,
    SpecError,
)
from export_pipelines.sources.failures import Guard, Secrets, by_sqlstate, connection_failure
from export_pipelines_tests.contracts.source_secrets import assert_without_secret

SECRET = "".join(("can", "ary"))  # in no line of code, because tracebacks show those


class LibraryError(Exception):
    """An exception of a database library."""


def raising(error: BaseException) -> None:
    """Raise the error, from another one."""
    raise error from LibraryError(f"caused by {SECRET}")


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        ("postgresql://ann:canary@db/x", "no canary in postgresql://ann:canary@db/x", "no *** in ***"),
        ("postgresql://ann:can%40ary@db/x", "can@ary or can%40ary", "*** or ***"),
        ("postgresql://ann:can@ary/long@db/x", 'host "ary/long@db", port "can"', 'host "***/***@db", port "***"'),
        ("postgresql://db/x?password=can%2Fary&a=b", "can/ary, can, ary, a=b", "***, ***, ***, a=b"),
        ("postgresql://ann@db/x", "user ann at postgresql://ann@db/x", "user ann at postgresql://ann@db/x"),
        ("sqlite:////data/school.db", "no file /data/school.db", "no file /data/school.db"),
        ("postgresql://ann:p@db/x", "improper privileges", "improper privileges"),
    ],
)
def test_secrets(url: str, text: str, shown: str) -> None:
    assert Secrets(url).remove(text) == shown


@pytest.mark.parametrize(
    ("state", "kind"),
    [("08006", SourceUnavailableError), ("57P01", SourceUnavailableError), ("57P03", SourceUnavailableError),
     ("53300", SourceUnavailableError), ("40001", SourceUnavailableError), ("25P03", SourceUnavailableError),
     ("42P01", QueryError), ("22012", QueryError), ("28P01", QueryError), ("57014", QueryError), ("25006", QueryError), ("", QueryError)],
)  # fmt: skip
def test_states(state: str, kind: type[ExportError]) -> None:
    error = by_sqlstate(state, "it said", "dataset 'x'")
    assert type(error) is kind
    assert str(error).startswith("dataset 'x': it said. ")


@pytest.mark.parametrize(
    ("message", "kind"),
    [("Connection refused", SourceUnavailableError), ('could not translate host name "db"', SourceUnavailableError),
     ("FATAL: sorry, too many clients already", SourceUnavailableError), ("FATAL: the database system is starting up", SourceUnavailableError),
     ("server closed the connection unexpectedly", SourceUnavailableError), ('FATAL: password authentication failed for user "x"', QueryError),
     ('FATAL: database "x" does not exist', QueryError), ("FATAL: no pg_hba.conf entry for host", QueryError),
     ('invalid URI query parameter: "x"', ConfigurationError), ('invalid integer value "x" for connection option "port"', ConfigurationError)],
)  # fmt: skip
def test_connections(message: str, kind: type[ExportError]) -> None:
    assert type(connection_failure(message, "connection 'x'")) is kind


class TestGuard:
    """The boundary."""

    guard = Guard(
        f"postgresql://ann:{SECRET}@db/x",
        errors=(LibraryError,),
        translate=lambda error, doing: QueryError(f"{doing}: {error}", hint=f"Ask {SECRET}"),
    )

    def test_errors_of_the_library(self) -> None:
        with pytest.raises(QueryError, match=r"dataset 'x': \*\*\* said no") as caught:
            self.guard.call("dataset 'x'", lambda: raising(LibraryError(f"{SECRET} said no")))
        assert isinstance(caught.value.__cause__, LibraryError)
        assert_without_secret(caught.value, SECRET)

    def test_errors_of_ours_say_where(self) -> None:
        with pytest.raises(SpecError, match=r"^dataset 'x': bad thing. Do this$") as caught:
            self.guard.call("dataset 'x'", lambda: raising(SpecError("bad thing", hint="Do this")))
        assert caught.value.hint == "Do this"
        assert_without_secret(caught.value, SECRET)

    def test_errors_of_arrow(self) -> None:
        with pytest.raises(ColumnTypeError, match=r"dataset 'x': a column cannot be read: odd"):
            self.guard.call("dataset 'x'", lambda: raising(pa.ArrowInvalid("odd")))

    def test_mistakes_of_ours_pass(self) -> None:
        with pytest.raises(KeyError):
            self.guard.call("dataset 'x'", lambda: {}["x"])
