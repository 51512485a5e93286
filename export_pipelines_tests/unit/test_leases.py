"""Leases: one publisher at a time, and a stale one is fenced off (I3)."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from export_pipelines.errors import LeaseHeldError, LeaseLostError
from export_pipelines.ledger import runs
from export_pipelines.ledger.holder import holder_of_this_process, is_dead
from export_pipelines.ledger.leases import WHOLE, acquire, free, held, partition_of
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import leases

HOLD = """
import sys, time
from export_pipelines.ledger.leases import acquire
from export_pipelines.ledger.ledger import Ledger
with acquire(Ledger(sys.argv[1]), "students", "2026-01-01", ttl_seconds=float(sys.argv[2]), wait_seconds=60):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres_url")


def take(ledger: Ledger, *, ttl: float = 30, wait: float = 0):
    return acquire(ledger, "students", "2026-01-01", ttl_seconds=ttl, wait_seconds=wait)


def holder_process(url: str, ttl: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, url, str(ttl)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_publisher_declines_and_other_partitions_are_free(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    with take(ledger) as first:
        with pytest.raises(LeaseHeldError, match="students, partition 2026-01-01 is being published by"):
            take(ledger)
        with acquire(ledger, "students", "2026-01-02", ttl_seconds=30, wait_seconds=0):
            pass
    with take(ledger) as second:
        assert second.fence == first.fence + 1


def test_waiting_publishers_follow_one_another(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    inside: list[int] = []
    most: list[int] = []

    def publish() -> None:
        with take(ledger, wait=60):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=publish) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_a_killed_holder_is_overtaken_at_once(ledger_url: str) -> None:
    process = holder_process(ledger_url, ttl=600)
    with pytest.raises(LeaseHeldError):
        take(Ledger(ledger_url))
    process.kill()
    process.wait()
    with take(Ledger(ledger_url)) as lease:
        assert lease.fence == 2


def test_a_stopped_holder_is_overtaken_and_cannot_publish(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    process = holder_process(ledger_url, ttl=0.5)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with take(ledger, wait=30) as lease:
            assert lease.fence == 2
            os.kill(process.pid, signal.SIGCONT)
            process.communicate("")
            with ledger.read() as connection:  # the stale holder's release changed nothing
                row = connection.execute(select(leases)).one()
            assert (row.fence, row.holder) == (2, holder_of_this_process())
    finally:
        process.kill()


def test_a_stale_lease_is_fenced(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    stale = take(ledger, ttl=0.05)  # not entered: nobody renews it
    deadline = time.monotonic() + 10
    while True:
        try:
            newer = take(ledger)
            break
        except LeaseHeldError:
            assert time.monotonic() < deadline
    with pytest.raises(LeaseLostError, match="another run took over"), stale.fenced():
        pytest.fail("a stale lease let its holder publish")
    with newer.fenced():
        pass


def test_the_lease_is_renewed_while_in_use(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    with take(ledger, ttl=0.3), ledger.read() as connection:
        first = connection.execute(select(leases.c.expires_at)).scalar_one()
        connection.rollback()
        deadline = time.monotonic() + 10
        while connection.execute(select(leases.c.expires_at)).scalar_one() == first:
            connection.rollback()
            assert time.monotonic() < deadline, "nobody renewed the lease"


def test_leases_are_freed_only_of_holders_that_are_dead_or_late(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    mine = holder_of_this_process()
    killed = holder_process(ledger_url, ttl=600)
    with ledger.read() as connection:
        dead = connection.execute(select(leases.c.holder)).scalar_one()
    with acquire(ledger, "grades", "2026-01-01", ttl_seconds=30, wait_seconds=0) as lease:
        assert free(ledger, [mine, dead, "nobody"]) == 0  # both are at work
        killed.kill()
        killed.wait()
        assert free(ledger, [mine]) == 0
        assert free(ledger, [mine, dead]) == 1
        lease.check()
        with lease.fenced():
            pass
    with take(ledger) as next_one:
        assert next_one.fence == 2


def test_a_freed_lease_is_lost_even_if_nobody_took_it(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    stale = take(ledger, ttl=0.05)  # not entered: nobody renews it
    deadline = time.monotonic() + 10
    while free(ledger, [stale.holder]) == 0:
        assert time.monotonic() < deadline
    with pytest.raises(LeaseLostError, match="this one was given up"), stale.fenced():
        pytest.fail("a lease that was taken away let its holder publish")


def test_holders_of_other_machines_are_never_declared_dead() -> None:
    mine = holder_of_this_process()
    host, machine, pid, started = mine.split("/")
    assert not is_dead(mine)
    assert is_dead(f"{host}/{machine}/{pid}/1{started}")
    assert not is_dead(f"{host}/another-boot:1/{pid}/1{started}")
    assert not is_dead("")
    assert not is_dead("nonsense")


def take_whole(ledger: Ledger, *, ttl: float = 30, wait: float = 0):
    return acquire(ledger, "students", WHOLE, ttl_seconds=ttl, wait_seconds=wait)


def test_a_whole_export_and_its_partitions_exclude_each_other(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    with take(ledger), pytest.raises(LeaseHeldError, match="export students is being published by"):
        take_whole(ledger)
    with take_whole(ledger):
        with pytest.raises(LeaseHeldError, match="students, partition 2026-01-01"):
            take(ledger)
        with pytest.raises(LeaseHeldError):
            take_whole(ledger)
        with acquire(ledger, "grades", "2026-01-01", ttl_seconds=30, wait_seconds=0):
            assert {(one.export, one.partition) for one in held(ledger)} == {
                ("students", "*"),
                ("grades", "2026-01-01"),
            }
    with take(ledger):
        pass


@pytest.mark.parametrize(("first", "second"), [(take, take_whole), (take_whole, take)])
def test_a_stale_holder_is_fenced_off_by_a_lease_that_excludes_its_own(
    ledger_url: str, first: Any, second: Any
) -> None:
    ledger = Ledger(ledger_url)
    stale = first(ledger, ttl=-1)
    with second(ledger), pytest.raises(LeaseLostError), stale.fenced():
        pass
    with pytest.raises(LeaseLostError), stale.fenced():
        pass


def test_of_many_who_take_a_partition_or_the_whole_export_no_two_that_exclude_each_other_succeed(
    ledger_url: str,
) -> None:
    partitions = ["2026-01-01", "2026-01-02", WHOLE, "2026-01-03", WHOLE, "2026-01-04"]
    for round_ in range(10):
        export, start, taken = f"export_{round_}", threading.Barrier(len(partitions)), []

        def _take(partition: str, export: str = export, start: Any = start, taken: Any = taken) -> None:
            ledger = Ledger(ledger_url)
            start.wait()
            try:
                taken.append((partition, acquire(ledger, export, partition, ttl_seconds=30, wait_seconds=0)))
            except LeaseHeldError:
                pass
            finally:
                ledger.close()

        threads = [threading.Thread(target=_take, args=(partition,)) for partition in partitions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = [name for name, _ in taken]
        assert names == [WHOLE] or (names and WHOLE not in names)


def test_the_partition_of_a_run_with_the_whole_lease_is_known_by_its_name_in_paths(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    with acquire(ledger, "news", WHOLE, ttl_seconds=60, wait_seconds=0):
        runs.start(ledger, run_id="r", export="news", partition="2026-01-05-14:00", now=datetime.now(UTC))
    assert partition_of(ledger, "news", "2026-01-05-1400") == "2026-01-05-14:00"
    assert partition_of(ledger, "news", "2026-01-06") is None
