"""The ledger's database: created once by many, readable by those who may not write, clear when it is not there."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from export_pipelines.errors import ConfigurationError
from export_pipelines.ledger import artifacts, due, leases, pins, runs, watches
from export_pipelines.ledger.ledger import Ledger, LedgerUnavailableError
from export_pipelines.ledger.version import VERSION

USE = "import sys; from export_pipelines.ledger import runs; from export_pipelines.ledger.ledger import Ledger; "
START = (
    USE
    + "from datetime import *; runs.start(Ledger(sys.argv[1]), run_id='r', export='e', partition=sys.argv[2], now=datetime.now(UTC))"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/ledger.db"
    return request.getfixturevalue("postgres_url")


def test_many_processes_create_it_at_once(url: str) -> None:
    def start(number: int) -> str:
        done = subprocess.run([sys.executable, "-c", START, url, str(number)], capture_output=True, text=True)
        return done.stderr

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(start, range(6))) == [""] * 6
    assert len(runs.recent(Ledger(url))) == 6


def test_its_file_is_private_and_its_directory_is_made(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        artifacts.find(Ledger(f"sqlite:///{tmp_path}/state/ledger.db"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "state" / "ledger.db").stat().st_mode) == 0o600


def test_it_shares_a_database_with_others_tables(postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg2://", 1))
    with engine.begin() as connection:
        connection.execute(text("create table runs (id int)"))
    assert runs.recent(Ledger(postgres_url)) == []
    assert "export_runs" in inspect(engine).get_table_names()
    engine.dispose()


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    first = Ledger(url)
    with first.write():
        assert runs.recent(Ledger(url)) == []


def test_a_database_that_is_down_is_a_passing_error_without_the_password() -> None:
    with pytest.raises(LedgerUnavailableError, match="refused") as caught:
        runs.recent(Ledger("postgresql://user:canary-secret@127.0.0.1:1/none"))
    assert "canary-secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["nonsense", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="EXPORT_LEDGER_URL"):
        Ledger(url)


def test_another_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger(url).write() as connection:
        connection.execute(text("update export_ledger_version set version = 99"))
    with pytest.raises(ConfigurationError, match="version 99"):
        runs.recent(Ledger(url))


def test_an_attempt_that_never_ended_counts_as_died(url: str) -> None:
    from datetime import UTC, datetime

    ledger = Ledger(url)
    for _ in range(2):
        runs.start(ledger, run_id="r", export="e", partition="2026-01-01", now=datetime.now(UTC))
    assert [row.state for row in runs.recent(ledger)] == ["running", "died"]


VERSION_1 = """
create table export_ledger_version (version integer not null primary key);
insert into export_ledger_version values (1);
create table export_artifacts (artifact_id varchar(32) not null primary key, export varchar(63) not null,
  partition varchar(63) not null, window_start timestamp not null, window_end timestamp not null, scheduled_at timestamp,
  run_id varchar(64) not null, created_at timestamp not null, store varchar(63) not null,
  manifest_path varchar(1000) not null, spec_sha256 varchar(64) not null, row_limit bigint, rows bigint not null,
  bytes bigint not null, seconds float not null, manifest text not null);
create index export_artifacts_by_partition on export_artifacts (export, partition, created_at);
create index export_artifacts_by_run on export_artifacts (run_id);
create table export_runs (id integer not null primary key, run_id varchar(64) not null, export varchar(63) not null,
  partition varchar(63) not null, state varchar(16) not null, started_at timestamp not null, finished_at timestamp,
  store varchar(63), manifest_path varchar(1000), artifact_id varchar(32), rows bigint, bytes bigint, error text);
create index export_runs_by_time on export_runs (started_at);
create index export_runs_by_partition on export_runs (export, partition, started_at);
create table export_leases (export varchar(63) not null, partition varchar(63) not null, fence bigint not null,
  holder varchar(200), expires_at float not null, primary key (export, partition));
insert into export_runs (id, run_id, export, partition, state, started_at, error)
  values (1, 'r', 'students', '2026-01-05', 'failed', '2026-01-06 02:00:00', 'disk full');
insert into export_artifacts values ('a1', 'students', '2026-01-05', '2026-01-05 00:00:00', '2026-01-06 00:00:00', null,
  'r', '2026-01-06 02:00:00', 'local', 'm', 's', null, 4, 100, 0.5, '{}')
"""


def test_an_older_ledger_is_brought_up_to_date_and_keeps_what_it_holds(url: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(exist_ok=True)
    engine = create_engine(Ledger(url).url)
    with engine.begin() as connection:
        for statement in VERSION_1.split(";\n"):
            connection.execute(text(statement))
    ledger = Ledger(url)
    assert [(row.error, row.hint, row.export_id) for row in runs.recent(ledger)] == [("disk full", None, None)]
    with ledger.read() as connection:
        assert connection.execute(text("select good from export_artifacts")).scalar()
        assert connection.execute(text("select version from export_ledger_version")).scalar() == VERSION
    engine.dispose()
    other = f"sqlite:///{tmp_path}/fresh.db"
    runs.recent(Ledger(other))
    assert _columns(other) == _columns(url)


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_a_ledger_of_a_later_version_gets_what_is_new(url: str, version: int) -> None:
    ledger = Ledger(url)
    assert runs.recent(ledger) == []
    expected = _columns(url)
    gone = ["export_due", "export_pauses"] if version < 5 else []
    gone += ["export_archives", "export_deletions", "export_totals"] if version < 4 else []
    gone += ["export_pins"] if version == 2 else []
    with ledger.write() as connection:
        for table in gone:
            connection.execute(text(f"drop table {table}"))
        for index in ("export_artifacts_combined", "export_runs_combined"):
            connection.execute(text(f"drop index {index}"))
        connection.execute(text("alter table export_runs drop column last_partition"))
        if version < 5:
            connection.execute(text("alter table export_watches drop column seen_until"))
            connection.execute(text("drop index export_leases_by_expiry"))
        for column in ("last_partition", "corrects"):
            connection.execute(text(f"alter table export_artifacts drop column {column}"))
        for column in ("verified_at", "damaged_at", "deleted_at") if version < 4 else ():
            connection.execute(text(f"alter table export_artifacts drop column {column}"))
        connection.execute(text(f"update export_ledger_version set version = {version}"))
    ledger = Ledger(url)
    assert pins.of_artifact(ledger, "a1") == []
    assert artifacts.find(ledger, deleted=True) == []
    assert due.find(ledger, "due") == watches.everything(ledger) == leases.held(ledger) == []
    assert _columns(url) == expected
    with ledger.read() as connection:
        assert connection.execute(text("select version from export_ledger_version")).scalar() == VERSION


def _columns(url: str) -> dict[str, set[str]]:
    inspector = inspect(create_engine(Ledger(url).url))
    names = [name for name in inspector.get_table_names() if name.startswith("export_")]
    return {name: {column["name"] for column in inspector.get_columns(name)} for name in names}


def test_a_newer_ledger_is_left_alone(url: str) -> None:
    ledger = Ledger(url)
    with ledger.write() as connection:
        connection.execute(text("update export_ledger_version set version = 99"))
    with pytest.raises(ConfigurationError, match="the ledger has version 99"):
        runs.recent(Ledger(url))
