"""`exports new`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError, StorageError


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def command(app: App, name: str) -> None:
    """Write a commented spec file for a new export NAME; never overwrites one."""
    path = app.settings.specs / f"{name}.yaml"
    _require_new(app, name)
    _write(path, _starter(app, name))
    following = [
        f"Say what it reads and who gets it: {path}",
        "Look for mistakes: exports check",
        f"See its first rows: exports preview {name}",
        f"Produce it: exports run {name}",
    ]
    app.answer({"export": name, "file": str(path.resolve()), "next": following}, lambda: _show(path, following))


def _require_new(app: App, name: str) -> None:
    from export_pipelines.spec.base import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise SpecError(
            f"{name!r} cannot name an export", hint="Use lower case letters, digits and `_`, beginning with a letter"
        )
    if name in app.project.specs.exports:
        raise SpecError(f"there is an export {name!r} already", hint=f"Look at it: exports show {name}")


def _starter(app: App, name: str) -> str:
    from export_pipelines.spec.starter import starter_yaml

    return starter_yaml(name)


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
