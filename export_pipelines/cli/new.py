"""`exports new`."""

from __future__ import annotations

from pathlib import Path

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError, StorageError

_DEMO = ("demo", "sqlite:///${env:EXPORT_DEMO_DB}")


@click.command()
@click.argument("name")
@click.option("--source", metavar="CONNECTION", help="Connection to read from. Default: the only one there is.")
@click.option("--url", help="Define the connection in the new file, with this URL. Passwords become references.")
@click.option("--table", help="Table to read. Default: NAME.")
@json_option
@click.pass_obj
def command(app: App, name: str, source: str | None, url: str | None, table: str | None) -> None:
    """Write a commented spec file for a new export NAME. Nothing is ever overwritten."""
    from export_pipelines.spec.starter import starter_yaml

    specs = app.project.specs
    if name in specs.exports or name in specs.quarantined:
        raise SpecError(f"there is an export {name!r} already", hint=f"Look at it: exports show {name}")
    connection, url = _connection(app, source, url)
    text = starter_yaml(name, connection=connection, connection_url=url, table=table)
    path = app.settings.specs / f"{name}.yaml"
    _write(path, text)
    following = [
        f"Say what it reads and who gets it: {path}",
        "Look for mistakes: exports check",
        f"See its first rows: exports preview {name}",
        f"Produce it: exports run {name}",
    ]
    app.answer({"export": name, "file": str(path.resolve()), "next": following}, lambda: _show(path, following))


def _connection(app: App, source: str | None, url: str | None) -> tuple[str, str | None]:
    """The connection's name, and its URL if the new file is to define it."""
    known = app.project.specs.connections
    names = ", ".join(known)
    if url is not None:
        if (source or "source") in known:
            raise SpecError(f"connection {source or 'source'!r} is defined already", hint="Give another --source")
        return source or "source", url
    if source is not None:
        if source not in known:
            hint = (f"Known: {names}. " if names else "") + "To define it, give its --url too"
            raise SpecError(f"there is no connection {source!r}", hint=hint)
        return source, None
    if len(known) > 1:
        raise SpecError("there are several connections", hint=f"Give one of them as --source: {names}")
    return (next(iter(known)), None) if known else _DEMO


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SpecError(f"{path} exists and is not overwritten", hint="Choose another name, or edit the file") from None
    except OSError as error:
        raise StorageError(f"writing {path}: {error.strerror}", hint="Check the directory's permissions") from error


def _show(path: Path, following: list[str]) -> None:
    click.echo(f"Wrote {path}\n")
    for number, step in enumerate(following, 1):
        click.echo(f"{number}. {step}")
