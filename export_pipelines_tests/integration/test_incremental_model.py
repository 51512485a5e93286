"""Any sequence of inserts and runs, in and out of order, with failures: each row is in one current artifact."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from export_pipelines.errors import OnEmptySkip, RowLimitExceededError
from export_pipelines.ledger import artifacts
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.opening import Request, marks_of
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.spec.checks import DatasetChecks, RowsCheck
from export_pipelines_tests.news import current, insert, news_project, once, times_exported

DAYS = [f"2026-01-{day:02}" for day in range(5, 11)]
NEVER = DatasetChecks(rows=RowsCheck(min=10**9), blocking=["rows"])

insertion = st.tuples(st.just("insert"), st.integers(1, 4))
production = st.tuples(st.sampled_from(["good", "good", "fails", "bad", "limited", "skips"]), st.sampled_from(DAYS))
deletion = st.tuples(st.just("delete"), st.sampled_from(DAYS))
steps = st.lists(st.one_of(insertion, production, production, deletion), max_size=12)


@dataclass
class World:
    """A project, its rows, and what was done to it."""

    made: Project
    root: Path
    rows: int = 0
    runs: int = 0

    def do(self, what: str, detail: Any) -> None:
        """One step."""
        if what == "insert":
            insert(self.root, range(self.rows + 1, self.rows + 1 + detail))
            self.rows += detail
        elif what == "delete":
            self.delete(detail)
        else:
            with suppress(*((RowLimitExceededError,) if what == "fails" else ()), OnEmptySkip):
                self.made.run(self.request(what, detail))

    def delete(self, day: str) -> None:
        """What retention leaves in the ledger when it has deleted the files of a partition."""
        for row in artifacts.find(self.made.ledger, partition=day):
            with self.made.ledger.write() as connection:
                artifacts.mark_deleted(connection, row.manifest.artifact_id, row.manifest.created_at)

    def request(self, what: str, day: str) -> Request:
        """A run of the day that ends so."""
        self.runs += 1
        limit = 1 if what == "limited" else None
        request = self.made.request("news", day, run_id=f"{self.runs:08x}" + "0" * 24, row_limit=limit)
        export, spec = request.export, request.export.spec
        if what == "fails":
            export = replace(export, max_rows=0)  # unless there are no rows
        elif what == "bad":
            checked = {name: dataset.model_copy(update={"checks": NEVER}) for name, dataset in spec.datasets.items()}
            export = replace(export, spec=spec.model_copy(update={"datasets": checked}))
        elif what == "skips":
            export = replace(export, spec=spec.model_copy(update={"on_empty": "skip"}))
        return replace(request, export=export)

    def finish(self, order: list[str]) -> None:
        """Produce what is missing, in this order, and the last day."""
        for day in order:
            if day not in current(self.made):
                self.do("good", day)
        self.do("good", DAYS[-1])

    def bounds(self, ledger: Ledger) -> dict[str, Any]:
        """Day -> what a run of it would export now, as this ledger knows it."""
        return {day: marks_of(self.made.request("news", day, run_id="look"), ledger).bounds for day in DAYS}


def repeated(made: Project) -> list[int]:
    """The rows that are in more than one current artifact."""
    return [number for counts in times_exported(made).values() for number, times in counts.items() if times > 1]


@settings(max_examples=40)
@given(done=steps, order=st.permutations(DAYS))
def test_each_row_is_in_one_current_artifact(done: list[tuple[str, Any]], order: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        world = World(news_project(root), root)
        for step in done:
            world.do(*step)
            assert repeated(world.made) == []
        world.finish(order)
        assert times_exported(world.made) == once(range(1, world.rows + 1))
        assert set(current(world.made)) == set(DAYS)
        anew = Ledger(f"sqlite:///{root}/anew.db")
        rebuild(world.made.store("local"), anew)
        assert world.bounds(anew) == world.bounds(world.made.ledger)
        for ledger in (anew, world.made.ledger):
            ledger.close()
