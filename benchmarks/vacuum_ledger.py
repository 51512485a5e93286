"""Delete old history from a large ledger while somebody publishes, on SQLite and PostgreSQL.

    python benchmarks/vacuum_ledger.py [--rows 1000000]

The ledger holds so many attempts, half of them repeated by later ones, and a tenth as many events with their messages.
Meanwhile another process commits a small transaction every 20 ms, as publishers do. Prints how long the deletion took,
how long a transaction waited at most, and what the file and a question of `exports stats` gained. Exits with 1 if a
transaction waited for more than a second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, text

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import events, messages, notifications, runs
from export_pipelines.ledger.vacuum import file_bytes, vacuum
from export_pipelines.monitoring.stats import run_stats
from export_pipelines_tests.servers import postgres_server

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EXPORTS = 100
DAYS = 800
MOST_SECONDS = 1.0
PUBLISHER = """
import signal, sys, time
from datetime import UTC, datetime
from export_pipelines.ledger import pulses
from export_pipelines.ledger.ledger import Ledger
ledger, longest, number, ended = Ledger(sys.argv[1]), 0.0, 0, []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    began = time.monotonic()
    pulses.put(ledger, datetime.now(UTC), publisher=float(number))
    longest = max(longest, time.monotonic() - began) if number else 0.0
    number += 1
    if number == 1:
        print("ready", flush=True)
    time.sleep(0.02)
print(number, longest)
"""


def main() -> int:
    """Measure both databases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as directory, postgres_server() as server:
        waited = [measured(url, rows) for url in (f"sqlite:///{directory}/ledger.db", server.url())]
    return 0 if max(waited) <= MOST_SECONDS else 1


def measured(url: str, rows: int) -> float:
    """Fill, vacuum, print; the longest wait of a publisher in seconds."""
    ledger = Ledger(url)
    _fill(ledger, rows)
    asked = _asked(ledger)
    command = [sys.executable, "-c", PUBLISHER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdout
        assert publisher.stdout.readline() == "ready\n"
        began = time.monotonic()
        done = vacuum(ledger, NOW, days=400)
        seconds = time.monotonic() - began
        publisher.terminate()
        number, longest = publisher.stdout.read().split()
    again = time.monotonic()
    vacuum(ledger, NOW, days=400)
    again = time.monotonic() - again
    name = ledger.url.get_backend_name()
    print(f"{name}: rows={rows} attempts={done.attempts} events={done.events} messages={done.messages}", end=" ")
    print(
        f"seconds={seconds:.0f} transactions={number} longest_wait={float(longest):.2f} s again={again:.0f} s", end=" "
    )
    print(
        f"file={_mb(done.file_bytes_before)} -> {_mb(file_bytes(ledger))} stats={asked:.2f} -> {_asked(ledger):.2f} s"
    )
    if name == "postgresql":
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("analyze"))
        print(f"postgresql after ANALYZE: stats={_asked(ledger):.2f} s")
    ledger.close()
    return float(longest)


def _mb(octets: int | None) -> str:
    return "-" if octets is None else f"{octets / 1e6:.0f} MB"


def _asked(ledger: Ledger) -> float:
    """Seconds for the statistics of a month, the best of three."""
    found = []
    for _ in range(3):
        began = time.monotonic()
        run_stats(ledger, since=NOW - timedelta(days=30), until=NOW)
        found.append(time.monotonic() - began)
    return min(found)


def _fill(ledger: Ledger, rows: int) -> None:
    with ledger.write() as connection:
        for begin in range(0, rows, 10_000):
            connection.execute(insert(runs), [_attempt(number, rows) for number in range(begin, begin + 10_000)])
        for begin in range(0, rows // 10, 1000):
            _tell(connection, range(begin, begin + 1000), rows // 10)


def _attempt(number: int, rows: int) -> dict[str, object]:
    """Attempts in the order of time; two of each partition, the first one of which failed."""
    began = NOW - timedelta(days=DAYS) * (1 - number / rows)
    partition = f"{number // EXPORTS // 2:08}"
    ended = {"started_at": began, "finished_at": began + timedelta(seconds=5), "formats": "csv,xlsx"}
    key = {
        "run_id": f"{number:036}",
        "export": f"e{number % EXPORTS}",
        "partition": partition,
        "export_id": f"{number:032x}",
    }
    if number // EXPORTS % 2 == 0:
        return {
            **key,
            **ended,
            "state": "failed",
            "error": "no such table: grades " * 5,
            "artifact_id": None,
            "rows": None,
        }
    return {**key, **ended, "state": "published", "error": None, "artifact_id": f"{number:032x}", "rows": 10}


def _tell(connection: Connection, numbers: range, total: int) -> None:
    """Failures in the order of time, each with a message of its own."""
    times = {number: NOW - timedelta(days=DAYS) * (1 - number / total) for number in numbers}
    what = {"kind": "failed", "level": "failure", "details": '{"cause": "no such table: grades"}'}
    connection.execute(
        insert(events),
        [
            {
                "key": f"failed:{n}",
                "export": f"e{n % EXPORTS}",
                "happened_at": at,
                "recorded_at": at,
                "routed_at": at,
                **what,
            }
            for n, at in times.items()
        ],
    )
    sent = {"recipient": "r", "state": "sent", "attempts": 1}
    connection.execute(
        insert(messages),
        [
            {"message_id": f"m{n}", "created_at": at, "finished_at": at, "next_attempt_at": at, **sent}
            for n, at in times.items()
        ],
    )
    told = {"recipient": "r", "topic": "t", "due_at": NOW}
    connection.execute(insert(notifications), [{"event_id": n + 1, "message_id": f"m{n}", **told} for n in numbers])


if __name__ == "__main__":
    raise SystemExit(main())
