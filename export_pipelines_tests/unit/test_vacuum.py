"""Old history is deleted, and whatever is asked about the time since is answered as before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select, update

from export_pipelines.errors import ConfigurationError
from export_pipelines.ledger import runs as attempts
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import (
    artifacts,
    due,
    events,
    incidents,
    leases,
    messages,
    metadata,
    notifications,
    runs,
)
from export_pipelines.ledger.vacuum import LEAST_DAYS, Vacuumed, days_of, vacuum
from export_pipelines.monitoring import stats
from export_pipelines.monitoring.counters import counters
from export_pipelines.monitoring.troubles import late_by_export, open_troubles
from export_pipelines.monitoring.waiting import outbox as waiting
from export_pipelines.notify import events as recorded
from export_pipelines.notify import outbox
from export_pipelines.settings import Settings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAYS = 100
LIMIT = NOW - timedelta(days=DAYS)
EXPORTS = ("a", "b", "c")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/l.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = Ledger(url)
    yield made
    made.close()


class History:
    """A ledger's rows, made one by one."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def add(self, table: Table, **values: Any) -> Any:
        with self.ledger.write() as connection:
            return connection.execute(insert(table).values(values).returning(*table.primary_key.columns)).first()[0]

    def attempt(
        self, days: float, state: str = "published", *, export: str = "a", partition: str = "p", **more: Any
    ) -> int:
        began = NOW - timedelta(days=days)
        key = f"{len(self.numbers(runs)):032x}"
        ended = {} if state == "running" else {"finished_at": began + timedelta(minutes=1)}
        made = {"artifact_id": key, "rows": 7, "bytes": 70, "manifest_path": "m"} if state == "published" else {}
        values = {"run_id": f"run-{key}", "export": export, "partition": partition, "state": state, "started_at": began}
        return int(self.add(runs, **{**values, **ended, **made, **more}))

    def gone(self, days: float, **more: Any) -> int:
        """An attempt that published, and whose files were deleted since."""
        number = self.attempt(days, **more)
        self.artifact(number, deleted=True)
        return number

    def artifact(self, number: int, *, deleted: bool) -> None:
        with self.ledger.read() as connection:
            row = connection.execute(select(runs).where(runs.c.id == number)).one()
        times = dict.fromkeys(("window_start", "window_end", "created_at"), row.started_at)
        texts = {"store": "local", "manifest_path": "m", "spec_sha256": "s", "manifest": "{}", "run_id": row.run_id}
        gone = {"deleted_at": NOW - timedelta(days=1)} if deleted else {}
        what = {"artifact_id": row.artifact_id, "export": row.export, "partition": row.partition}
        self.add(artifacts, **what, **times, **texts, **gone, rows=7, bytes=70, seconds=1.0)

    def event(self, days: float, kind: str = "failed", *, export: str | None = "a", **more: Any) -> int:
        at = NOW - timedelta(days=days)
        key = {
            "key": f"{kind}:{len(self.numbers(events))}",
            "kind": kind,
            "level": "failure",
            "details": '{"cause": "x"}',
        }
        values = {**key, "export": export, "happened_at": at, "recorded_at": at, "routed_at": at, **more}
        return int(self.add(events, **values))

    def message(self, days: float, *numbers: int, state: str = "sent", **more: Any) -> str:
        at = NOW - timedelta(days=days)
        key = f"m{len(self.numbers(messages))}"
        ended = {} if state == "pending" else {"finished_at": at}
        times = {"created_at": at, "next_attempt_at": at, "attempts": 1}
        self.add(messages, message_id=key, recipient="r", state=state, **{**times, **ended, **more})
        for number in numbers:
            self.notification(number, key)
        return key

    def notification(self, event: int, message: str | None) -> None:
        numbers = len(self.numbers(notifications))
        self.add(notifications, event_id=event, recipient=f"r{numbers}", topic="t", due_at=NOW, message_id=message)

    def incident(self, opened: float, closed: float | None, export: str = "a") -> int:
        begin = NOW - timedelta(days=opened)
        ended = None if closed is None else NOW - timedelta(days=closed)
        return int(self.add(incidents, export=export, opened_at=begin, last_at=begin, failures=1, closed_at=ended))

    def numbers(self, table: Table) -> list[Any]:
        with self.ledger.read() as connection:
            return sorted(connection.execute(select(*table.primary_key.columns)).scalars())

    def vacuum(self) -> Vacuumed:
        """What a dry run announces is what happens."""
        before = {table.name: self.count(table) for table in metadata.sorted_tables}
        announced = vacuum(self.ledger, NOW, days=DAYS, dry_run=True)
        assert {table.name: self.count(table) for table in metadata.sorted_tables} == before
        done = vacuum(self.ledger, NOW, days=DAYS)
        names = ("attempts", "events", "notifications", "messages", "incidents", "ticks")
        assert [asdict(announced)[name] for name in names] == [asdict(done)[name] for name in names]
        for name, table in zip(names, (runs, events, notifications, messages, incidents, due), strict=True):
            assert before[table.name] - self.count(table) == getattr(done, name)
        assert vacuum(self.ledger, NOW, days=DAYS) == Vacuumed(
            before=LIMIT, file_bytes_before=done.file_bytes_after, file_bytes_after=done.file_bytes_after
        )
        return done

    def count(self, table: Table) -> int:
        with self.ledger.read() as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.fixture
def history(ledger: Ledger) -> History:
    return History(ledger)


def test_repeated_attempts_go_and_the_newest_stays(history: History) -> None:
    failed, first, second = history.attempt(200, "failed"), history.gone(200), history.gone(200)
    young = history.attempt(50, "failed")
    single = history.attempt(900, "died", partition="q")
    assert history.vacuum().attempts == 2
    assert history.numbers(runs) == [second, young, single]
    assert failed < first < second


def test_attempts_whose_files_are_there_or_that_may_have_some_stay(history: History) -> None:
    kept = [history.attempt(200) for _ in range(2)]  # the ledger does not have the second one's artifact
    history.artifact(kept[0], deleted=False)
    history.gone(200)
    kept.append(history.attempt(200, "failed", manifest_path="m"))
    kept += [history.attempt(200, "running"), history.attempt(50), history.attempt(40)]
    assert history.vacuum().attempts == 1
    assert history.numbers(runs) == kept


def test_the_newest_that_published_or_was_skipped_stays(history: History) -> None:
    kept = [history.attempt(300), history.attempt(299, "skipped")]
    history.attempt(298, "failed")
    kept.append(history.attempt(297, "died"))
    assert history.vacuum().attempts == 1
    assert history.numbers(runs) == kept


def test_an_attempt_that_ran_into_the_kept_time_stays(history: History) -> None:
    ran = history.attempt(DAYS + 0.1, "failed", finished_at=LIMIT + timedelta(hours=1))
    history.attempt(1)
    assert history.vacuum().attempts == 0
    assert ran in history.numbers(runs)


def test_events_go_with_what_was_sent_about_them(history: History) -> None:
    old = [history.event(200), history.event(190)]
    history.message(189, *old)
    history.message(189, old[0], state="failed")
    newest = history.event(150)
    done = history.vacuum()
    assert (done.events, done.notifications, done.messages) == (2, 3, 2)
    assert history.numbers(events) == [newest]


def test_events_stay_as_long_as_somebody_may_hear_of_them(history: History) -> None:
    unrouted = history.event(200, routed_at=None)
    pending = history.event(200)
    message = history.message(200, pending, state="pending")
    waits = history.event(200)
    history.notification(waits, None)
    late = history.event(200)
    history.message(50, late)
    retried = history.event(200)
    history.message(200, retried, finished_at=LIMIT + timedelta(days=1))
    once = [history.event(200, "quarantined"), history.event(200, "damaged")]
    shared = history.event(200)
    history.notification(shared, message)
    partly = history.event(200)
    both = history.message(200, partly)
    history.notification(late, both)
    assert history.event(99)
    done = history.vacuum()
    assert (done.events, done.notifications, done.messages) == (1, 1, 0)
    assert set(history.numbers(events)) >= {unrouted, pending, waits, late, retried, *once, shared}
    assert partly not in history.numbers(events)
    assert both in history.numbers(messages)


def test_what_is_wrong_now_is_told_as_before(history: History) -> None:
    earlier = history.event(500)
    cause = history.event(300)
    history.message(300, cause, earlier)
    history.event(290, "late", recorded_at=LIMIT - timedelta(days=1), happened_at=NOW - timedelta(days=301))
    other = history.event(300, export="b")
    open_ = history.incident(300, None)
    history.incident(300, 250, export="b")
    last = history.incident(50, 49, export="c")
    history.event(1)
    before = open_troubles(history.ledger)
    done = history.vacuum()
    assert (done.events, done.messages, done.incidents) == (2, 0, 1)
    assert open_troubles(history.ledger) == before
    assert before[0].cause == "x"
    assert history.numbers(incidents) == [open_, last]
    assert other not in history.numbers(events)


def test_no_number_is_given_twice(history: History) -> None:
    event, incident = history.event(200), history.incident(200, 199)
    attempt = history.attempt(200)
    history.vacuum()
    assert (history.event(1), history.incident(1, None), history.attempt(1)) == (event + 1, incident + 1, attempt + 1)


def test_counters_never_shrink(history: History) -> None:
    for state in ("failed", "published", "skipped", "died", "published", "skipped"):
        number = history.attempt(200, state)
        if state == "published":
            history.artifact(number, deleted=True)
    before = counters(history.ledger)
    assert history.vacuum().attempts == 4
    assert counters(history.ledger) == before
    for _ in range(3):
        history.attempt(150, "failed")
        history.attempt(140, "skipped")
    before = counters(history.ledger)
    assert history.vacuum().attempts == 6
    assert counters(history.ledger) == before
    assert before["a"].attempts == {"published": 2, "skipped": 5, "failed": 4, "died": 1}
    assert before["a"].rows == 14


def test_proofs_and_leases_are_not_touched(history: History) -> None:
    history.gone(900)
    history.add(leases, export="a", partition="p", fence=41, holder=None, expires_at=0.0)
    history.attempt(800)
    assert history.vacuum().attempts == 1
    assert (history.count(artifacts), history.count(leases)) == (1, 1)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_asked_about_the_kept_time_is_answered_as_before(ledger: Ledger, seed: int) -> None:
    history = History(ledger)
    chance = random.Random(seed)
    _fill(history, chance)
    before, kept = _answers(ledger), _young(history)
    done = history.vacuum()
    assert done.attempts > 20
    assert done.events > 5
    assert done.messages > 1
    assert _answers(ledger) == before
    assert _young(history) == kept


def _fill(history: History, chance: random.Random) -> None:
    for _ in range(150):
        export, days = chance.choice(EXPORTS), chance.uniform(0, 2 * DAYS)
        state = chance.choice(("published", "published", "skipped", "failed", "died"))
        number = history.attempt(days, state, export=export, partition=chance.choice("pq"))
        if chance.random() < 0.3:  # a retry within the same run
            with history.ledger.write() as connection:
                run = select(runs.c.run_id).where(runs.c.id == number).scalar_subquery()
                again = history.numbers(runs)[-1]
                connection.execute(update(runs).where(runs.c.id == again).values(run_id=run))
        if state == "published":
            history.artifact(number, deleted=chance.random() < 0.7)
    for _ in range(60):
        days = chance.uniform(0, 2 * DAYS)
        kind = chance.choice(("failed", "late", "succeeded", "damaged", "check_failed"))
        event = history.event(days, kind, export=chance.choice(EXPORTS))
        if chance.random() < 0.1:
            history.notification(event, None)
        else:
            others = chance.sample(history.numbers(events), k=1) if chance.random() < 0.3 else []
            state = chance.choice(("sent", "sent", "sent", "failed", "off", "off", "pending"))
            history.message(max(0.0, days - chance.choice((0, 0, 30))), *{event, *others}, state=state)
    for export in EXPORTS:
        history.incident(1.9 * DAYS, 1.5 * DAYS, export)
        history.incident(chance.uniform(0, 1.4 * DAYS), None if export == "b" else 1, export)


def _answers(ledger: Ledger) -> list[Any]:
    """What the commands, the reports and Prometheus ask."""
    runs_of = [run for number in range(200) for run in [f"run-{number:032x}"]]
    untrended = {"trend": None, "success_trend": None}  # they compare with the time before the limit
    return [
        [replace(entry, **untrended) for entry in stats.run_stats(ledger, since=LIMIT, until=NOW)],
        stats.run_stats(ledger, since=NOW - timedelta(days=DAYS / 2), until=NOW),
        stats.total_stats(ledger, since=NOW - timedelta(days=DAYS / 2), until=NOW, export="a"),
        stats.by_day(ledger, since=LIMIT, until=NOW, timezone="Europe/Berlin"),
        stats.slowest(ledger, since=LIMIT, limit=1000),
        stats.failed_runs(ledger, since=LIMIT, limit=1000),
        [row for row in attempts.recent(ledger) if row.started_at >= LIMIT],
        counters(ledger),
        attempts.latest_by_export(ledger),
        attempts.last_by_run(ledger, runs_of).keys()
        & {row.run_id for row in attempts.recent(ledger) if row.started_at >= LIMIT},
        recorded.between(ledger, LIMIT, NOW),
        late_by_export(ledger, since=LIMIT, until=NOW),
        open_troubles(ledger),
        waiting(ledger, before=NOW).pending,
        waiting(ledger, before=NOW).unrouted,
    ]


def _young(history: History) -> list[Any]:
    """Messages of the kept time, with the events that they carry."""
    listed = [row for row in outbox.recent(history.ledger, limit=1000) if row.created_at >= LIMIT]
    return [listed, outbox.pending(history.ledger, NOW, limit=1000)]


def test_stats_of_the_kept_time_do_not_need_the_first_attempt_of_a_run(history: History) -> None:
    history.attempt(DAYS + 0.001, "failed", run_id="r")
    history.attempt(DAYS - 0.001, "published", run_id="r")
    before = stats.by_day(history.ledger, since=LIMIT, until=NOW)
    assert history.vacuum().attempts == 1
    assert stats.by_day(history.ledger, since=LIMIT, until=NOW) == before
    assert (sum(day.succeeded for day in before), sum(day.failed for day in before)) == (1, 0)


def test_space_is_given_back(tmp_path: Path) -> None:
    history = History(Ledger(f"sqlite:///{tmp_path}/l.db"))
    with history.ledger.write() as connection:
        began = NOW - timedelta(days=200)
        row = {"run_id": "r", "export": "a", "partition": "p", "state": "failed", "started_at": began}
        rows = [{**row, "finished_at": began, "error": "x" * 500} for _ in range(5000)]
        connection.execute(insert(runs), rows)
    done = vacuum(history.ledger, NOW, days=DAYS)
    assert done.attempts == 4999
    assert done.file_bytes_before and done.file_bytes_after
    assert done.file_bytes_after < done.file_bytes_before / 10
    assert done.file_bytes_after == (tmp_path / "l.db").stat().st_size


def test_too_few_days_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="history of 30 days"):
        vacuum(Ledger(f"sqlite:///{tmp_path}/l.db"), NOW, days=LEAST_DAYS - 1)


@pytest.mark.parametrize(("text", "days"), [("off", None), ("OFF", None), ("400", 400), (" 31 ", 31)])
def test_days_of_a_variable(text: str, days: int | None) -> None:
    assert days_of(Settings({"EXPORT_HISTORY_DAYS": text}), "EXPORT_HISTORY_DAYS", least=31) == days


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "30", "never", "1000000"])
def test_a_variable_that_is_no_number_of_days(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"EXPORT_HISTORY_DAYS is '{text}'"):
        days_of(Settings({"EXPORT_HISTORY_DAYS": text}), "EXPORT_HISTORY_DAYS", least=31)
