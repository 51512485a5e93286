"""Memory does not grow with rows: half a million rows of more than 200 bytes through each source, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from export_pipelines_tests.servers import PostgresServer

PROGRAM = """
import json, sys
from export_pipelines.registry import SOURCES, resolve
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

kind, url, sql = sys.argv[1:]
source = resolve("source", SOURCES, kind)("big", ConnectionSpec(url=url, batch_rows=10_000), url)

def rows(sql):
    with source.open({"rows": DatasetSpec(sql=sql)}, values={}) as snapshot:
        return sum(batch.num_rows for batch in snapshot.streams["rows"])

rows(sql.replace("500000", "20000"))
before = peak()
print(json.dumps([rows(sql), peak() - before]))
"""
ROWS = 500_000
GROWTH = 32 * 2**20  # bytes more than 20,000 rows take; all rows have more than 100 MB
SERIES = f"select n, 'text ' || n || repeat('x', 200) as note, n / 7.0 as part from generate_series(1, {ROWS}) t(n)"
RECURSIVE = (
    f"with recursive g(n) as (select 1 union all select n + 1 from g where n < {ROWS}) "
    "select n, 'text ' || n || printf('%.200c', 'x') as note, n / 7.0 as part from g"
)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["postgresql", "sqlite", "duckdb", "*:psycopg2", "*:pysqlite"])
def test_half_a_million_rows(kind: str, tmp_path: Path, postgres: PostgresServer) -> None:
    (tmp_path / "empty.db").touch()
    url, sql = {
        "postgresql": (postgres.url(), SERIES.replace("n / 7.0", "n / 7.0::float8")),
        "*:psycopg2": (postgres.url(driver="psycopg2"), SERIES.replace("n / 7.0", "n / 7.0::float8")),
        "sqlite": (f"sqlite:///{tmp_path}/empty.db", RECURSIVE),
        "*:pysqlite": (f"sqlite+pysqlite:///{tmp_path}/empty.db", RECURSIVE),
        "duckdb": (f"duckdb:///{tmp_path}", SERIES),
    }[kind]
    command = [sys.executable, "-c", PROGRAM, kind.partition(":")[0], url, sql]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    rows, growth = [int(number) for number in done.stdout.strip("[]\n").split(",")]
    assert rows == ROWS
    assert growth < GROWTH
