"""sling: a table of PostgreSQL to a CSV file."""

import os
import subprocess
from pathlib import Path

import sling_linux_amd64

from benchmarks.speed.stopwatch import job, measured


def main() -> None:
    """Run the command that the package installs."""
    what = job()
    home = Path(what["out"]) / "home"
    home.mkdir(parents=True)
    directory = what["url"].partition("host=")[2]
    url = f"postgresql://postgres@/postgres?host={directory}&sslmode=disable"
    environment = {**os.environ, "SOURCE": url, "SLING_HOME_DIR": str(home), "SLING_DISABLE_TELEMETRY": "true"}
    target = f"file://{what['out']}/rows.csv"
    program = Path(sling_linux_amd64.__file__).parent / "bin" / "sling-linux-amd64"
    program.chmod(0o755)
    command = [str(program), "run", "--src-conn", "SOURCE", "--src-stream", "public.rows", "--tgt-object", target]
    with measured(what):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not Path(what["out"], "rows.csv").exists():
        raise SystemExit("sling wrote no file")


if __name__ == "__main__":
    main()
