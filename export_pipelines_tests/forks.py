"""Commands as processes of their own that start quickly: forked by a process that has imported everything already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EXPORTS = "export_pipelines.cli.main:main"
DAGSTER = "dagster._cli:cli"
_USED = "pyarrow.dataset sqlalchemy.dialects.sqlite sqlglot export_pipelines.project export_pipelines.ledger.runs"
# A process that has threads must not fork: its child may wait for ever for a lock that one of them held. Importing
# polars starts one, so it is left to the children; these two variables keep pyarrow and numpy from starting theirs.
_THREADLESS = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OPENBLAS_NUM_THREADS": "1"}
_FORKING = """
import importlib, json, os, signal, sys, traceback
module, _, name = sys.argv[1].partition(":")
command = getattr(importlib.import_module(module), name)
for used in sys.argv[2:]:
    importlib.import_module(used)
assert len(os.listdir("/proc/self/task")) == 1
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    os.dup2(os.open(order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    os.environ.update(order["environ"])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whoever started the tests may ignore both
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(120)  # one that hangs is killed, and its exit code says so
    code = 1
    try:
        command(order["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
"""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, or minus the signal that killed it; and what it wrote."""

    code: int
    stdout: str
    stderr: str


class Forks:
    """Runs one command again and again, each time as a new process."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self._process = process
        self._directory = directory

    def run(self, arguments: Sequence[str], environ: Mapping[str, str]) -> Ended:
        """Run the command with these arguments and additional variables, and wait until it ends."""
        assert self._process.stdin
        assert self._process.stdout
        files = {name: self._directory / name for name in ("stdout", "stderr")}
        order = {"arguments": list(arguments), "environ": dict(environ), **{n: str(p) for n, p in files.items()}}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Ended(code, *(path.read_text(errors="replace") for path in files.values()))


@contextmanager
def forks(command: str, directory: Path) -> Iterator[Forks]:
    """A process that forks `command` (EXPORTS or DAGSTER); what its children write goes through `directory`."""
    words = [sys.executable, "-c", _FORKING, command, *_USED.split()]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EXPORT_")}
    with subprocess.Popen(
        words, env=environ | _THREADLESS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=directory
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield Forks(process, directory)
        finally:
            assert process.stdin
            process.stdin.close()
