"""`psql \\copy` of a query to a CSV file, then `sha256sum` of it."""

import subprocess

from benchmarks.speed.stopwatch import job, measured


def main() -> None:
    """Copy and sum."""
    what = job()
    path = f"{what['out']}.csv"
    copy = f"\\copy (select * from {what.get('table', 'rows')}) to '{path}' with (format csv, header)"
    with measured(what):
        subprocess.run([what["psql"], what["url"], "-q", "-c", copy], check=True)
        subprocess.run(["sha256sum", path], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
