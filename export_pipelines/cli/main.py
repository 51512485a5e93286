"""The `exports` command: its options, and its subcommands, each imported when it is used."""

from __future__ import annotations

import atexit
import gc
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from export_pipelines import __version__
from export_pipelines.cli.app import App
from export_pipelines.errors import ExportError

SECTIONS = {
    "Look": {
        "status": "Schedules with their last and next run, what failed, free disk.",
        "list": "The exports and what each of them published last.",
        "show": "One export in full.",
        "schedules": "The next runs, all of a year, or conflicts between them.",
        "due": "What is missing, waiting, skipped or given up, and why.",
        "artifacts": "What was published, newest first.",
        "history": "Attempts and how they ended, newest first.",
        "path": "Where the newest artifact is.",
    },
    "Watch": {
        "health": "What is wrong now, one sentence each.",
        "stats": "Runs, success, speed, rows and bytes per export.",
        "report": "A page about the last days, to print or to send.",
        "metrics": "The state of all exports as Prometheus reads it.",
    },
    "Produce": {
        "run": "Produce and publish partitions of one export.",
        "preview": "The first rows of one export; publishes nothing.",
        "pause": "Skip the ticks of an export or schedule for a while.",
        "resume": "Let an export or schedule run again.",
        "skip": "Do without partitions that are due or were given up.",
        "verify": "Re-read published files and compare them with their manifests.",
    },
    "Keep": {
        "prune": "Delete what the policies do not keep; --dry-run shows the plan.",
        "restore": "Bring a deleted artifact back from its archive.",
        "pin": "Keep an artifact whatever its policy says.",
        "unpin": "Let the policy decide again.",
        "hold": "Put an artifact on legal hold, or release it.",
    },
    "Write specs": {
        "new": "Begin a new export with a commented spec file.",
        "check": "Every mistake in the spec files, with file and line.",
        "schema": "The JSON Schema of spec files, for editors.",
        "demo": "Build the demo database that the shipped specs read.",
    },
    "Maintain": {
        "notify": "Look at notifications, send them, try a recipient.",
        "ledger": "Look after the ledger.",
    },
}
"""Heading of the help page -> subcommand -> what it does. `list` is the module `export_pipelines.cli.list`, etc."""


_OBJECTS = 100_000  # between two searches for unreachable ones


class LazyGroup(click.Group):
    """A group whose subcommands are modules, so that none pays for what another one imports."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """As in click. A command allocates much and lives shortly, so unreachable objects are looked for less often.

        By default Python looks after every 700 objects, which takes a fifth of the time where there are many. At the
        end it would look at all, and take down module by module, for a tenth of a second: the process ends anyway.
        """
        gc.set_threshold(_OBJECTS)
        atexit.register(gc.freeze)
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The subcommands, in the order of the help page."""
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported now; None if there is none of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"export_pipelines.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, and a typing error gets a suggestion."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], known, n=1)
            ctx.fail(f"There is no command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The subcommands under their headings, without importing them."""
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; an ExportError becomes a message and exit code 1, every other one keeps its traceback."""
        try:
            return super().invoke(ctx)
        except ExportError as error:
            app: App = ctx.obj
            app.fail(error)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("Stopped by Ctrl-C", err=True)
            ctx.exit(130)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--specs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Directory of the spec files. Default: EXPORT_SPECS, or ./specs.",
)
@click.version_option(__version__, message="exports %(version)s")
@click.pass_context
def main(ctx: click.Context, specs: Path | None) -> None:
    """Scheduled exports of databases into files.

    Every command takes --json: one JSON document on standard output, messages on standard error. Exit codes: 0 fine,
    1 what you asked about is not, 2 wrong usage.
    """
    ctx.obj = App(specs)


if __name__ == "__main__":
    main(prog_name="exports")
