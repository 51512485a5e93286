"""The inventory that retention plans with, and pins and holds, on both databases."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from export_pipelines.ledger import pins
from export_pipelines.ledger.inventory import Item
from export_pipelines.ledger.inventory import inventory as inventory_in
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts

NOW = datetime(2026, 11, 22, 12, 30, 15, 120000, tzinfo=UTC)
START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "sqlite":
        return Ledger(f"sqlite:///{tmp_path}/ledger.db")
    return Ledger(request.getfixturevalue("postgres_url"))


def inventory(ledger: Ledger, *exports: str) -> list[Item]:
    with ledger.read() as connection:
        return inventory_in(connection, exports=exports or None)


def add(ledger: Ledger, artifact_id: str, **values: object) -> None:
    row = {
        "artifact_id": artifact_id,
        "export": "students",
        "partition": "2026-01-05",
        "window_start": START,
        "window_end": START + timedelta(days=1),
        "run_id": "r",
        "created_at": NOW,
        "store": "local",
        "manifest_path": "m",
        "spec_sha256": "s",
        "rows": 4,
        "bytes": 100,
        "seconds": 0.5,
        "manifest": "not read",
    }
    with ledger.write() as connection:
        connection.execute(insert(artifacts).values({**row, **values}))


def test_it_holds_what_the_ledger_knows(ledger: Ledger) -> None:
    add(ledger, "a1")
    add(
        ledger,
        "a2",
        export="grades",
        good=False,
        row_limit=5,
        store="lake",
        window_start=START + timedelta(microseconds=1),
    )
    plain = Item("a1", "students", "2026-01-05", START, START + timedelta(days=1), NOW, 100, "local")
    assert inventory(ledger, "students") == [plain]
    (other,) = inventory(ledger, "grades")
    assert (other.good, other.row_limit, other.store) == (False, 5, "lake")
    assert other.window_start == START + timedelta(microseconds=1)
    assert {item.artifact_id for item in inventory(ledger)} == {"a1", "a2"}
    assert inventory(ledger, "students'; drop table export_artifacts; --") == []


def test_dates_that_cannot_be_read_hide_no_other_artifact(ledger: Ledger) -> None:
    wrong = ["infinity", "-infinity", "12345-01-01 00:00:00", "4712-01-01 00:00:00 BC"]
    if ledger.url.get_backend_name() == "sqlite":
        wrong += ["", "yesterday", "2026-13-01", "2026-01-05 00:00:00+01:00"]
    add(ledger, "good")
    for number, value in enumerate(wrong):
        add(ledger, f"bad{number}")
        with ledger.write() as connection:
            statement = "update export_artifacts set window_end = :value where artifact_id = :key"
            connection.execute(text(statement), {"value": value, "key": f"bad{number}"})
    found = {item.artifact_id: item.window_end for item in inventory(ledger)}
    assert found.pop("good") == START + timedelta(days=1)
    assert set(found.values()) == {None}


class TestPins:
    def test_a_pin_stands_until_it_is_taken_away_and_stays_on_record(self, ledger: Ledger) -> None:
        add(ledger, "a1")
        first = pins.pin(ledger, "a1", by="ann", why="reference", at=NOW)
        again = pins.pin(ledger, "a1", by="bob", why="", at=NOW + timedelta(hours=1))
        assert (first, again.by) == (again, "ann")
        assert [item.pinned for item in inventory(ledger)] == [True]
        ended = pins.end(ledger, "a1", "pin", by="bob", why="no longer", at=NOW + timedelta(hours=2))
        assert [item.pinned for item in inventory(ledger)] == [False]
        assert pins.end(ledger, "a1", "pin", by="bob", why="", at=NOW) == []
        assert pins.of_artifact(ledger, "a1") == ended
        (row,) = ended
        assert (row.by, row.why, row.at, row.ended_by, row.ended_why) == ("ann", "reference", NOW, "bob", "no longer")

    def test_the_longest_hold_counts_and_a_shorter_one_does_not_cut_it(self, ledger: Ledger) -> None:
        add(ledger, "a1")
        add(ledger, "a2")
        for until in (date(2027, 1, 1), date(2030, 12, 31), date(2026, 1, 1)):
            pins.hold(ledger, "a1", until=until, by="ann", why="lawsuit", at=NOW)
        assert {item.artifact_id: item.held_until for item in inventory(ledger)} == {
            "a1": date(2030, 12, 31),
            "a2": None,
        }
        assert not any(item.pinned for item in inventory(ledger))
        assert pins.end(ledger, "a1", "pin", by="bob", why="", at=NOW) == [], "a hold is no pin"
        assert len(pins.end(ledger, "a1", "hold", by="bob", why="settled", at=NOW)) == 3
        assert [item.held_until for item in inventory(ledger)] == [None, None]

    def test_a_hold_whose_day_cannot_be_read_never_ends(self, ledger: Ledger) -> None:
        add(ledger, "a1")
        pins.hold(ledger, "a1", until=date(2027, 1, 1), by="ann", why="lawsuit", at=NOW)
        with ledger.write() as connection:
            connection.execute(text("update export_pins set until = null"))
        assert [item.held_until for item in inventory(ledger)] == [date.max]
