"""The command `sqlite3 -csv`; nothing is summed or published."""

import subprocess
from pathlib import Path

from benchmarks.speed.stopwatch import job, measured


def main() -> None:
    """Run it."""
    what = job()
    with measured(what), Path(f"{what['out']}.csv").open("wb") as file:
        subprocess.run(["sqlite3", "-csv", "-header", what["sqlite"], "select * from rows"], check=True, stdout=file)


if __name__ == "__main__":
    main()
