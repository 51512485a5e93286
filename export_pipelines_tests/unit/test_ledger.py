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
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.ledger import Ledger, LedgerUnavailableError

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
