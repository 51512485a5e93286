"""RecordStream, the session behind several of them, and limits in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from export_pipelines.errors import QueryError
from export_pipelines.sources.deadline import limited
from export_pipelines.sources.session import Session
from export_pipelines.sources.stream import RecordStream

SCHEMA = pa.schema([("n", pa.int64())])


def batch(*numbers: int) -> pa.RecordBatch:
    """A batch of numbers."""
    return pa.record_batch([pa.array(numbers, pa.int64())], schema=SCHEMA)


def broken() -> Iterator[pa.RecordBatch]:
    """One batch, then an error."""
    yield batch(1)
    raise OSError("the line went dead")


class TestRecordStream:
    """Read once, closed once."""

    def test_batches_without_rows_are_left_out(self) -> None:
        stream = RecordStream(SCHEMA, [batch(), batch(1, 2), batch(), batch(3)])
        assert [found["n"].to_pylist() for found in stream] == [[1, 2], [3]]

    def test_reading_to_the_end_closes(self) -> None:
        closed: list[str] = []
        stream = RecordStream(SCHEMA, [batch(1)], on_close=lambda: closed.append("once"))
        assert (list(stream), closed) == ([batch(1)], ["once"])
        stream.close()
        assert closed == ["once"]

    def test_reading_twice_is_a_mistake(self) -> None:
        stream = RecordStream(SCHEMA, [batch(1)])
        list(stream)
        with pytest.raises(RuntimeError, match="read or closed before"):
            list(stream)
        with pytest.raises(RuntimeError, match="read or closed before"):
            stream.peek()

    def test_leaving_the_context_closes_and_ends_reading(self) -> None:
        closed: list[str] = []
        with RecordStream(SCHEMA, [batch(1)], on_close=lambda: closed.append("once")) as stream:
            pass
        assert closed == ["once"]
        with pytest.raises(RuntimeError):
            list(stream)

    def test_an_error_closes(self) -> None:
        closed: list[str] = []
        stream = RecordStream(SCHEMA, broken(), on_close=lambda: closed.append("once"))
        with pytest.raises(OSError, match="dead"):
            list(stream)
        assert closed == ["once"]

    def test_stopping_early_closes(self) -> None:
        closed: list[str] = []
        reading = iter(RecordStream(SCHEMA, [batch(1), batch(2)], on_close=lambda: closed.append("once")))
        next(reading)
        assert closed == []
        reading.close()  # type: ignore[attr-defined]
        assert closed == ["once"]

    def test_a_peeked_batch_still_comes(self) -> None:
        stream = RecordStream(SCHEMA, [batch(), batch(1), batch(2)])
        assert stream.peek() == stream.peek() == batch(1)
        assert list(stream) == [batch(1), batch(2)]
        assert RecordStream(SCHEMA, [batch()]).peek() is None


class TestSession:
    """One connection, several streams."""

    def test_the_last_stream_closes_the_connection(self) -> None:
        closed: list[str] = []
        session = Session(lambda: closed.append("connection"))
        streams = [session.stream(SCHEMA, iter([batch(1)]), on_close=lambda n=n: closed.append(n)) for n in "ab"]
        list(streams[1])
        assert closed == ["b"]
        list(streams[0])
        assert closed == ["b", "a", "connection"]
        session.close()
        assert closed == ["b", "a", "connection"]

    def test_leaving_the_snapshot_closes_all(self) -> None:
        closed: list[str] = []
        session = Session(lambda: closed.append("connection"))
        streams = {n: session.stream(SCHEMA, iter([batch(1)]), on_close=lambda n=n: closed.append(n)) for n in "ab"}
        with session.snapshot(streams) as snapshot:
            next(iter(snapshot.streams["a"]))
        assert closed == ["a", "b", "connection"]
        assert streams["b"]._closed

    def test_a_snapshot_of_nothing_is_closed(self) -> None:
        closed: list[str] = []
        Session(lambda: closed.append("connection")).snapshot({})
        assert closed == ["connection"]


class TestDeadline:
    """Calls that may be interrupted."""

    def test_in_time(self) -> None:
        assert limited(lambda: 7, 60, interrupt=pytest.fail, errors=(OSError,)) == 7

    def test_too_late(self) -> None:
        stop = threading.Event()

        def wait() -> None:
            assert stop.wait(30)
            raise OSError("interrupted")

        with pytest.raises(QueryError, match=r"ended after 0.01 s.*statement_timeout_seconds") as caught:
            limited(wait, 0.01, interrupt=stop.set, errors=(OSError,))
        assert isinstance(caught.value.__cause__, OSError)

    def test_errors_of_its_own(self) -> None:
        def fail() -> None:
            raise OSError("no such table")

        with pytest.raises(OSError, match="no such table"):
            limited(fail, 60, interrupt=pytest.fail, errors=(OSError,))
