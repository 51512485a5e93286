"""One export through `Project.run`: query, encode, checksum, publish, manifest. Spreadsheet safety is on."""

from __future__ import annotations

import uuid
from pathlib import Path

import yaml

from benchmarks.speed.stopwatch import job, measured
from export_pipelines.project import Project
from export_pipelines.settings import load_settings

PARTITION = "2026-01-01"
WARM = "few"


def project(what: dict, root: Path) -> Project:
    """Two exports of the same formats: `measured`, and `few` for warming up."""
    url = {
        "postgres": what.get("url"),
        "sqlite": f"sqlite:///{what['sqlite']}",
        "parquet": f"duckdb:///{what['files']}",
    }
    entries = {}
    for name in ("measured", WARM):
        table = what.get("table", "rows") if name == "measured" else WARM
        limit = f" limit {what['rows'] if name == 'measured' else 2000}" if what.get("limited") or name == WARM else ""
        dataset = {"sql": f"select * from {table}{limit}"}
        entries[name] = {"source": "data", "datasets": {"rows": dataset}, "formats": what["formats"], "max_rows": 10**9}
        entries[name]["preview_rows"] = 5
    (root / "specs").mkdir(parents=True)
    document = {"connections": {"data": {"url": url[what["source"]]}}, "exports": entries}
    (root / "specs" / "speed.yaml").write_text(yaml.safe_dump(document))
    environment = {
        "EXPORT_SPECS": str(root / "specs"),
        "EXPORT_STORAGE_PATH": str(root / "out"),
        "EXPORT_STATE_PATH": str(root / "state"),
    }
    return Project.load(load_settings(environment))


def main() -> None:
    """Warm up, then measure."""
    what = job()
    made = project(what, Path(what["out"]))
    made.run(made.request(WARM, PARTITION, run_id=uuid.uuid4().hex))
    request = made.request("measured", PARTITION, run_id=uuid.uuid4().hex)
    with measured(what) as more:
        artifact = made.run(request)
        more["bytes"] = artifact.manifest.total_bytes
        more["rows"] = artifact.manifest.total_rows


if __name__ == "__main__":
    main()
