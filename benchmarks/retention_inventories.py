"""Plan the retention of random inventories and compare each plan with an oracle.

    python benchmarks/retention_inventories.py [--inventories 20000] [--seed 1] [--artifacts 100000]

The inventories hold ties, artifacts of one second, future and unreadable dates, clocks that are ten years wrong, pins,
holds, and artifacts that wait for delivery. At the end one plan for many artifacts is timed. Exits with 1 if a plan
breaks a rule, if hardly anything was deleted, or if the large plan takes more than two seconds of CPU time.
"""

from __future__ import annotations

import argparse
import random
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import insert

from export_pipelines.ledger.inventory import inventory
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts
from export_pipelines.retention.plan import plan
from export_pipelines.retention.policy import Policy
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines_tests.retention_oracle import BASE, case, violations

EXPORTS = 100
MOST_SECONDS = 2.0


def main() -> int:
    """Plan all inventories and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inventories", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--artifacts", type=int, default=100_000)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    planned, deleted, refused, wrong = 0, 0, 0, []
    for number in range(options.inventories):
        drawn = case(chance.choice)
        made = plan(drawn.items, drawn.policies, drawn.now)
        planned += len(drawn.items)
        deleted += len(made.delete)
        refused += bool(made.refused)
        wrong += [f"inventory {number}: {text}" for text in violations(drawn, made)]
    print(f"inventories={options.inventories} artifacts={planned} deleted={deleted} refused={refused}", end=" ")
    print(f"violations={len(wrong)}")
    print("\n".join(wrong[:20]))
    seconds = timed(options.artifacts)
    return 1 if wrong or deleted < options.inventories or seconds > MOST_SECONDS else 0


def timed(number: int) -> float:
    """CPU seconds for the plan of so many artifacts, from the ledger's rows to the list."""
    now = BASE + timedelta(hours=12)
    rules = RetentionSpec(
        keep_days=30, keep_last=7, keep_weekly=8, keep_monthly=24, keep_yearly=5, max_total_bytes=50_000
    )
    policies = {f"e{export}": Policy(rules, "Europe/Berlin") for export in range(EXPORTS)}
    with TemporaryDirectory() as directory:
        ledger = Ledger(f"sqlite:///{Path(directory)}/ledger.db")
        with ledger.write() as connection:
            connection.execute(insert(artifacts), [row(position) for position in range(number)])
        began = time.process_time()
        with ledger.read() as connection:
            items = inventory(connection)
        read = time.process_time()
        made = plan(items, policies, now)
        done = time.process_time()
        ledger.close()
    print(f"artifacts={number} read={read - began:.2f} s plan={done - read:.2f} s deleted={len(made.delete)}")
    return done - began


def row(position: int) -> dict[str, object]:
    """One artifact of the ledger: a daily partition of one of the exports."""
    start = BASE - timedelta(days=position // EXPORTS + 1)
    end = start + timedelta(days=1)
    texts = {"run_id": "r", "store": "local", "manifest_path": "m", "spec_sha256": "s", "manifest": "{}" * 500}
    key = {"artifact_id": f"{position:032x}", "export": f"e{position % EXPORTS}", "partition": f"{start:%Y-%m-%d}"}
    times = {"window_start": start, "window_end": end, "created_at": end + timedelta(hours=2)}
    return {**texts, **key, **times, "rows": 10, "bytes": 1000, "seconds": 1.0}


if __name__ == "__main__":
    raise SystemExit(main())
