"""A project on the demo database, and the `exports` command on it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from export_pipelines.cli.main import main
from export_pipelines.demo.build import build_demo
from export_pipelines_tests.projects import EXPORT, environment, write_project

SHIPPED_SPECS = Path(__file__).parents[2] / "specs"


@cache
def _demo() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "demo.db"
        build_demo(path, scale=1, today=datetime.now(UTC).date())
        return path.read_bytes()


class Cli:
    """Runs `exports` in this process, or as a program; everything it writes is below `root`."""

    def __init__(self, root: Path) -> None:
        """With the shipped specs and the demo database."""
        self.root = root
        self.environ = environment(root, EXPORT_SPECS=str(SHIPPED_SPECS), EXPORT_DEMO_DB=str(root / "demo.db"))
        (root / "demo.db").write_bytes(_demo())

    def use(self, exports: dict[str, Any], **sections: Any) -> None:
        """Use specs of one's own, on the small database of `projects.py`; entries are merged over its EXPORT."""
        write_project(self.root, exports, **sections)
        self.environ["EXPORT_SPECS"] = str(self.root / "specs")

    def break_specs(self) -> None:
        """Add a spec file with two mistakes."""
        mistakes = {
            "one": {**EXPORT, "source": "scool"},
            "two": {**EXPORT, "source": "school", "formats": ["csv", "xslx"]},
        }
        (self.root / "specs" / "broken.yaml").write_text(yaml.safe_dump({"exports": mistakes}, sort_keys=False))

    def __call__(self, *arguments: str, code: int = 0, **environ: str) -> Result:
        """Run the command and demand its exit code."""
        env = {"COLUMNS": None, "FORCE_COLOR": None, **self.environ, **environ}
        result = CliRunner().invoke(main, list(arguments), env=env, prog_name="exports")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments: str, code: int = 0, **environ: str) -> dict[str, Any]:
        """Run the command with `--json`; standard output must be one JSON document."""
        document = json.loads(self(*arguments, "--json", code=code, **environ).stdout)
        assert isinstance(document, dict)
        return document

    def program(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """The command line and the environment with which to run it as a process of its own."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EXPORT_")}
        return [sys.executable, "-m", "export_pipelines.cli.main", *arguments], {**environ, **self.environ}
