"""Days on which nobody was there: the schedules and the sensor of a project, played without waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from export_pipelines.ledger import artifacts
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.orchestration.catch_up import CaughtUp, catch_up
from export_pipelines.project import Project

STEP = timedelta(seconds=10)


@dataclass
class Play:
    """A project in a Dagster instance. Time passes as it is told."""

    made: Project
    instance: dg.DagsterInstance
    now: datetime

    def __post_init__(self) -> None:
        self.repository = build_definitions(self.made).get_repository_def()

    def sensor(self, after: timedelta = timedelta()) -> CaughtUp:
        """What the sensor decides when so much time has passed."""
        self.now += after
        return catch_up(self.made, self.instance, self.now)

    def tick(self, schedule: str, at: datetime | None = None) -> Any:
        """What the schedule does at its tick; the tick of `at`, if that is another time."""
        with dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=at or self.now, repository_def=self.repository
        ) as context:
            return self.repository.get_schedule_def(schedule).evaluate_tick(context)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Execute a requested run."""
        job = self.repository.get_job(str(request.job_name)).get_subset(
            asset_selection=set(request.asset_selection or ()),
            asset_check_selection=set(request.asset_check_keys or ()),
        )
        return job.execute_in_process(
            partition_key=request.partition_key, instance=self.instance, tags=dict(request.tags), raise_on_error=False
        )

    def publish(self, request: dg.RunRequest) -> None:
        """Do what the run would do, without Dagster, which takes ten times as long."""
        for key in request.asset_selection or ():
            wanted = self.made.request(
                key.path[-1], str(request.partition_key), run_id=f"{self.now.timestamp():032.0f}"
            )
            self.made.run(wanted)

    def recover(self, perform: Callable[[dg.RunRequest], object]) -> list[tuple[str, str]]:
        """Let the sensor tick until nothing is missing; (export, partition) of what it requested, in that order."""
        asked = []
        while (done := self.sensor(STEP)).requests or done.waiting:
            for request in done.requests:
                asked += [(key.path[-1], str(request.partition_key)) for key in request.asset_selection or ()]
                perform(request)
        return asked

    def published(self, export: str) -> Counter[str]:
        """Partition -> how many artifacts it has."""
        return Counter(row.manifest.partition for row in artifacts.find(self.made.ledger, export=export))


@contextmanager
def playing(made: Project, now: datetime) -> Iterator[Play]:
    """A new instance; the sensor has looked for the first time."""
    with dg.instance_for_test() as instance:
        play = Play(made, instance, now)
        play.sensor()
        yield play
