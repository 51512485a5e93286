"""What people write without the package: an asset per file, pandas, and Dagster's defaults.

`PLAIN_ASSETS` of them read the table `numbers` of the SQLite database `PLAIN_DATABASE`, and write CSV files to the
directory `PLAIN_OUT`. The schedule `PLAIN_CRON` asks for a run of each.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pandas as pd


def _plain(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name)
    def _asset() -> None:
        with closing(sqlite3.connect(os.environ["PLAIN_DATABASE"])) as database:
            frame = pd.read_sql_query("select * from numbers", database)
        path = Path(os.environ["PLAIN_OUT"]) / f"{name}.csv"
        frame.to_csv(path.with_suffix(".part"), index=False)
        path.with_suffix(".part").rename(path)  # so that whoever counts files counts whole ones

    return _asset


@dg.definitions
def defs() -> dg.Definitions:
    """The assets, one job for them, and its schedule."""
    assets = [_plain(f"export_{n:04}") for n in range(int(os.environ["PLAIN_ASSETS"]))]
    job = dg.define_asset_job("plain", selection=dg.AssetSelection.assets(*assets))

    @dg.schedule(job=job, cron_schedule=os.environ["PLAIN_CRON"], default_status=dg.DefaultScheduleStatus.RUNNING)
    def _due(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        when = context.scheduled_execution_time.isoformat()
        return [dg.RunRequest(run_key=f"{when} {asset.key}", asset_selection=[asset.key]) for asset in assets]

    return dg.Definitions(assets=assets, jobs=[job], schedules=[_due])
