"""docs/cli.md against the commands, and what the commands import."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from export_pipelines.cli.main import SECTIONS, main
from export_pipelines.ledger import due, pulses
from export_pipelines.ledger.due import Asked
from export_pipelines.ledger.ledger import Ledger
from export_pipelines_tests.integration.cli_project import Cli

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
HEAVY = {"dagster", "pandas", "polars", "boto3", "pyarrow"}
LOOKS = (
    "list",
    "check",
    "show students",
    "artifacts",
    "history",
    "status",
    "schedules",
    "schedules --year 2027",
    "schedules --conflicts",
    "due",
    "path students",
    "schema",
    "health",
    "stats --slowest 1",
    "report --json",
    "metrics",
    "prune --dry-run",
)
AS_IN_THE_SPECS = {"spec", "connection", "store", "schedule", "reads", "tags", "retention"}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made("run", "students", "--limit", "1")
    ledger, now = Ledger(f"sqlite:///{tmp_path}/state/ledger.db"), datetime.now(UTC)
    pulses.put(ledger, now, observer=None, queued_runs=0)
    with ledger.write() as connection:
        waiting = Asked(export="students", partition="2026-01-02", schedule="s", tick=now)
        skipped = replace(waiting, partition="2026-01-01", cause="misfire", reason="late")
        due.note(connection, [skipped, waiting], now)
    return made


def commands() -> Iterator[tuple[str, click.Command]]:
    """Full name -> command, groups left out."""
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", command.commands[sub]) for sub in command.commands)
        else:
            yield name, command


def section(heading: str) -> str:
    """The text of the page below a heading, up to the next one."""
    match = re.search(rf"^#+ {re.escape(heading)}\b.*?$(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match, heading
    return match[1]


def keys(value: Any) -> Iterator[str]:
    """Every field name in a document, except below fields that hold entries of spec files."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in AS_IN_THE_SPECS:
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_every_command_and_option_is_on_the_page() -> None:
    for name, command in commands():
        text = section(f"exports {name}")
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                assert re.search(rf"^### exports {name} \[?(NAME|ARTIFACT)", PAGE, re.MULTILINE), name
            elif "--json" in parameter.opts:
                assert "JSON" in text or name == "schema", name
            else:
                assert f"`{parameter.opts[0]}" in text, (name, parameter.opts)
    for option in main.params:
        assert f"`{option.opts[0]}" in PAGE


def test_the_page_has_no_option_that_does_not_exist() -> None:
    for name, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        table = re.findall(r"^\| (.*?) \|", section(f"exports {name}"), re.MULTILINE)
        assert {option for cell in table for option in re.findall(r"--[a-z-]+", cell)} <= options, name


def test_every_command_takes_json_and_explains_itself() -> None:
    for name, command in commands():
        assert any("--json" in parameter.opts for parameter in command.params), name
        assert command.help, name
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or parameter.help, (name, parameter.name)
    assert {name.split()[0] for name, _ in commands()} == {name for part in SECTIONS.values() for name in part}


def test_every_json_field_is_on_the_page(cli: Cli) -> None:
    shared = "".join(
        section(name)
        for name in ("Artifact", "Check result", "Run", "Schedule", "Tick", "Statistics", "Incident", "Pins", "Pause")
    ) + section("exports check")
    artifact_id = cli.json("path", "students")["artifact_id"]
    (students,) = (export for export in cli.json("list")["exports"] if export["name"] == "students")
    documents = {
        "demo": cli.json("demo"),
        "run": cli.json("run", "students", "--from", students["last_partition"]),
        "preview": cli.json("preview", "students", "--rows", "1"),
        "new": cli.json("--specs", str(cli.root / "mine"), "new", "orders"),
        "verify": cli.json("verify"),
        "ledger rebuild": cli.json("ledger", "rebuild"),
        "ledger vacuum": cli.json("ledger", "vacuum", "--dry-run"),
        "pin": cli.json("pin", artifact_id),
        "unpin": cli.json("unpin", artifact_id),
        "pause": cli.json("pause", "students"),
        "due": cli.json("due", "--all"),
        "skip": cli.json("skip", "students", "2026-01-02", "--why", "audit"),
        "resume": cli.json("resume", "students", "--catch-up"),
        "hold": cli.json("hold", artifact_id, "--until", "9999-12-31", "--why", "audit"),
        **{look.split()[0]: cli.json(*look.removesuffix("--json").split()) for look in LOOKS if look != "schema"},
    }
    for name, document in documents.items():
        documented = set(re.findall(r"`([a-z0-9_]+)`", section(f"exports {name}") + shared))
        assert set(keys(document)) <= documented, name


@pytest.mark.parametrize("command", LOOKS)
def test_looking_imports_nothing_heavy(cli: Cli, command: str) -> None:
    code = (
        "import json, sys\n"
        "from export_pipelines.cli.main import main\n"
        f"main({command.split()!r}, standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    _, environ = cli.program()
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert "export_pipelines" in loaded
    assert not loaded & HEAVY


def test_the_program_prints_messages_to_standard_error_and_exits_with_1(cli: Cli) -> None:
    command, environ = cli.program("show", "studens")
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: there is no export 'studens'. Did you mean 'students'?\n"


def test_a_terminal_gets_progress_and_colours(cli: Cli) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command, environ = cli.program("run", "students")
    environ = {name: value for name, value in environ.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"}
    process = subprocess.Popen(command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    assert process.wait() == 0
    text = seen.decode()
    assert "opening" in text
    assert "\x1b[1m" in text
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    assert max(len(line) for line in shown.splitlines() if str(cli.root) not in line) <= 80


def _read(terminal: int) -> bytes:
    """What the program wrote; nothing once it has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_output_is_plain_where_nobody_looks_at_it(cli: Cli) -> None:
    command, environ = cli.program("list")
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]
