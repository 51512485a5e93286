"""What all subcommands share: the project of the environment, and how an answer or an error is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from export_pipelines.errors import ExportError, SpecError
from export_pipelines.text import counted

if TYPE_CHECKING:
    from export_pipelines.ledger.pauses import Pauses
    from export_pipelines.locations import Locations
    from export_pipelines.project import Project
    from export_pipelines.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class App:
    """One invocation: where its specs are, and whether its answer is JSON."""

    specs: Path | None = None
    json: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The environment's settings, with `--specs` in place of EXPORT_SPECS."""
        from export_pipelines.settings import Settings, load_settings

        settings = load_settings()
        return Settings({**settings.variables, "EXPORT_SPECS": str(self.specs)}) if self.specs else settings

    @cached_property
    def project(self) -> Project:
        """The project. Reads the specs; their mistakes are in `project.specs.problems`."""
        from export_pipelines.project import Project

        return Project.load(self.settings)

    @cached_property
    def locations(self) -> Locations:
        """Where published files are."""
        from export_pipelines.locations import Locations

        return Locations(self.project)

    @cached_property
    def pauses(self) -> Pauses:
        """The pauses that last now."""
        from export_pipelines.ledger.pauses import pauses_since

        return pauses_since(self.project.ledger, self.now)

    @cached_property
    def now(self) -> datetime:
        """When this invocation began, in UTC."""
        return datetime.now(UTC)

    def tolerant_project(self) -> Project:
        """The project, with a warning if its specs have mistakes."""
        if problems := self.project.specs.problems:
            number = counted(len(problems), "mistake")
            self.say(f"Warning: {number} in {self.settings.specs}, see: exports check", style="yellow")
        return self.project

    def strict_project(self) -> Project:
        """The project. Raises SpecError with all mistakes of all spec files if there is one."""
        try:
            self.project.specs.require_valid()
        except SpecError as error:
            number = counted(len(self.project.specs.problems), "mistake")
            raise SpecError(f"{number} in {self.settings.specs}, so nothing is run:\n{error}") from error
        return self.project

    def answer(self, document: Mapping[str, Any], show: Callable[[], None]) -> None:
        """Give the answer: `document` with `--json`, else whatever `show` prints."""
        if self.json:
            from export_pipelines.cli.documents import write_json

            write_json(document)
        else:
            show()

    def say(self, text: str, *, style: str = "") -> None:
        """Print a message to standard error."""
        from export_pipelines.cli.output import console

        console(stderr=True).print(text, style=style or None)

    def fail(self, error: ExportError) -> None:
        """Print an error that ends the command; with `--json` also as document."""
        self.say(f"Error: {error}", style="red")
        if self.json:
            from export_pipelines.cli.documents import write_json

            write_json({"error": {"type": type(error).__name__, "message": str(error), "hint": error.hint}})


def json_option(function: Function) -> Function:
    """Give the command its option `--json`."""

    def _remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        ctx.ensure_object(App).json = value

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=_remember, help="Answer with one JSON document."
    )
    return option(function)
