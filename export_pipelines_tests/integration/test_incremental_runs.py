"""Runs of several partitions of one export at once, and runs that are killed: each row is exported once all the same."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_pipelines.crash import VARIABLE
from export_pipelines.errors import LeaseHeldError
from export_pipelines.ledger import leases
from export_pipelines.ledger.leases import WHOLE, Held, acquire
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.settings import load_settings
from export_pipelines_tests.crashes import OF_COMMANDS
from export_pipelines_tests.forks import EXPORTS, Forks, forks
from export_pipelines_tests.news import insert, news_project, once, run, times_exported
from export_pipelines_tests.projects import environment

DAYS = [f"2026-01-{day:02}" for day in range(5, 17)]

RUNS = """
import sys, uuid
from export_pipelines.project import Project
made = Project.load()
for partition in sys.argv[1:]:
    made.run(made.request("news", partition, run_id=uuid.uuid4().hex))
"""


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(EXPORTS, tmp_path_factory.mktemp("forks")) as running:
        yield running


@pytest.mark.parametrize("point", OF_COMMANDS)
def test_a_run_that_is_killed_at_any_point(tmp_path: Path, child: Forks, point: str) -> None:
    """Other partitions run before the killed one does again; it may have published without telling the ledger."""
    made = news_project(tmp_path)
    insert(tmp_path, [1, 2])
    run(made, DAYS[0])
    insert(tmp_path, [3, 4])
    words = ["run", "news", "--partition", DAYS[1]]
    ended = child.run(words, environment(tmp_path, **{VARIABLE: f"{point}:KILL"}))
    assert ended.code == -signal.SIGKILL, ended.stderr
    insert(tmp_path, [5])
    for partition in (DAYS[2], DAYS[0], DAYS[1], DAYS[3]):
        run(made, partition)
        rebuild(made.store("local"), made.ledger)  # finds what the killed run has published, if nobody has yet
        assert times_exported(made) == once(range(1, 6))
    assert not (tmp_path / "out" / ".staging").exists()


@pytest.mark.parametrize("ledger", ["sqlite", "postgres"])
def test_processes_that_run_partitions_at_once(tmp_path: Path, ledger: str, request: pytest.FixtureRequest) -> None:
    url = {} if ledger == "sqlite" else {"EXPORT_LEDGER_URL": request.getfixturevalue("postgres_url")}
    environ = environment(tmp_path, **url)
    news_project(tmp_path)
    insert(tmp_path, range(1, 50))
    command = [sys.executable, "-c", RUNS]
    running = [
        subprocess.Popen([*command, *DAYS[start::3]], env=os.environ | environ, stderr=subprocess.PIPE, text=True)
        for start in range(3)
    ]
    number = 50
    while any(process.poll() is None for process in running):
        insert(tmp_path, [number])
        number += 1
    ended = [(process.communicate()[1], process.returncode) for process in running]
    assert [code for _, code in ended] == [0, 0, 0], ended
    made = Project.load(load_settings(environ))
    run(made, DAYS[-1])
    assert times_exported(made) == once(range(1, number))


def test_a_run_waits_for_that_of_another_partition(tmp_path: Path) -> None:
    made = news_project(tmp_path)
    insert(tmp_path, [1])
    taken = acquire(made.ledger, "news", WHOLE, ttl_seconds=60, wait_seconds=0)
    with taken:
        assert leases.held(made.ledger) == [Held("news", WHOLE)]
        impatient = Project(load_settings(environment(tmp_path, EXPORT_LEASE_WAIT_SECONDS="0.001")), made.specs)
        with pytest.raises(LeaseHeldError, match="export news is being published"):
            run(impatient, DAYS[0])
        waiting = threading.Thread(target=run, args=(made, DAYS[1]))
        waiting.start()
    waiting.join()
    assert times_exported(made) == once([1])
