"""System calls that fail on purpose, only where they touch the files of one store, and what must hold afterwards."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines.verify import verify
from export_pipelines_tests.projects import environment, published_files
from export_pipelines_tests.publishers import big_project, left

DAY = "2026-01-05"
RUN = "0123456789abcdef0123456789abcdef"
STAMP = "20260106_010000"
PUBLISH = f"""
import sys
from dataclasses import replace
from datetime import UTC, datetime
from export_pipelines.errors import ExportError
from export_pipelines.project import Project
made = Project.load()
request = made.request("big", "{DAY}", run_id="{RUN}")
try:
    made.run(replace(request, created_at=datetime(2026, 1, 6, 1, tzinfo=UTC)))
except ExportError as error:
    sys.exit(f"{{type(error).__name__}}: {{error}}")
"""
"""Publishes under names that are known beforehand."""
CALLS = {
    "write": "write,pwrite64,writev",
    "fsync": "fsync,fdatasync",
    "rename": "rename,renameat,renameat2",
    "link": "link,linkat",
    "mkdir": "mkdir,mkdirat",
    "unlink": "unlink,unlinkat",
    "sweep": "unlink,unlinkat",
}
"""What fails -> the system calls. `sweep` is `unlink` while the leftovers of a dead run are deleted."""
ERRORS = {"EIO": "Input/output error", "ENOSPC": "No space left on device", "EACCES": "Permission denied"}
_DATASETS = 30
_TIMES = {
    ("artifact", "rename"): ("1",),
    ("artifact", "mkdir"): ("1",),
    ("flat", "mkdir"): ("1",),
    ("artifact", "fsync"): ("1", "5", "50", "5+", "63"),  # 63: of the directory, after the rename
    ("flat", "fsync"): ("1", "5", "50", "5+", "64", "65"),  # of the directory, before and after the manifest's link
}
_NEVER = {("artifact", "link"), ("artifact", "unlink"), ("flat", "rename")}  # calls that the layout does not make


@cache
def why_not() -> str:
    """Why system calls cannot be made to fail here; "" if they can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"strace may not trace: {tried.stderr.strip()}"


@dataclass(frozen=True)
class Fault:
    """The `times`-th call of a kind fails; with `+`, all from there on."""

    layout: str
    call: str
    error: str
    times: str

    def __str__(self) -> str:
        return f"{self.layout}-{self.call}-{self.error}-{self.times}"

    @property
    def after_publishing(self) -> bool:
        """Whether it hits when the artifact is visible and complete already."""
        return self.call == "unlink"


@dataclass
class Seen:
    """How often a fault hit, how the run ended, and what is wrong."""

    hits: int
    code: int
    told: str
    wrong: list[str] = field(default_factory=list)


def faults() -> Iterator[Fault]:
    """Every combination that the layouts' calls allow."""
    for layout, call, error in itertools.product(("artifact", "flat"), CALLS, ERRORS):
        if (layout, call) not in _NEVER:
            for times in _TIMES.get((layout, call), ("1", "5", "50", "5+")):
                yield Fault(layout, call, error, times)


def inject(root: Path, fault: Fault) -> Seen:
    """Publish with the fault in a process of its own, look at what is left, and publish again without it."""
    datasets = {f"numbers{n}": {"table": "numbers"} for n in range(_DATASETS)}
    made = big_project(root, rows=200, datasets=datasets, layout=fault.layout)
    made.run(made.request("big", DAY, run_id=uuid.uuid4().hex))
    earlier = published_files(root)
    if fault.call == "sweep":
        _plant_leftovers(root, fault.layout)
    seen = _publish(root, fault)
    seen.wrong += _wrong_ending(fault, seen) + left(root).violations
    seen.wrong += [f"changed: {path}" for path, data in earlier.items() if published_files(root).get(path) != data]
    made.run(made.request("big", DAY, run_id=uuid.uuid4().hex))
    seen.wrong += _wrong_in_the_end(root, made, artifacts_at_least=2 + (seen.code == 0))
    return seen


def _publish(root: Path, fault: Fault) -> Seen:
    log = root / "strace.log"
    calls = CALLS[fault.call]
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(log), "-e", f"trace={calls}"]
    command += ["-e", f"inject={calls}:error={fault.error}:when={fault.times}"]
    command += itertools.chain.from_iterable(("-P", str(path)) for path in _touched(root))
    done = subprocess.run(
        [*command, sys.executable, "-c", PUBLISH], env=os.environ | environment(root), capture_output=True, text=True
    )
    return Seen(log.read_text().count("(INJECTED)"), done.returncode, done.stderr)


def _touched(root: Path) -> Iterator[Path]:
    """The paths at which the run may touch the store; the process's other files keep working."""
    out = root / "out"
    scope = out / ".staging" / "big" / DAY
    yield from (out, out / ".staging", out / ".staging" / "big", scope, out / DAY, out / DAY / "big")
    staged = scope / f"2_{RUN[:8]}"  # the lease's second holder
    suffix = f"_{RUN[:8]}_{STAMP}"
    names = [f"numbers{n}.{kind}" for n in range(_DATASETS) for kind in ("csv", "jsonl")]
    flat = [f"big_numbers{n}{suffix}.{kind}" for n in range(_DATASETS) for kind in ("csv", "jsonl")]
    for name in ("", ".placement", "metadata.json", *names, f"big{suffix}.metadata.json", *flat):
        yield staged / name
    dead = scope / "1_dead"
    yield from (dead, *(dead.iterdir() if dead.is_dir() else ()))


def _plant_leftovers(root: Path, layout: str) -> None:
    """What a run leaves that was killed before its manifest appeared."""
    staged = root / "out" / ".staging" / "big" / DAY / "1_dead"
    staged.mkdir(parents=True)
    for number in range(2 * _DATASETS):
        (staged / f"dead{number}.csv").write_text("a line\n")
    if layout == "flat":
        (staged / "dead.metadata.json").write_text("{}")
        (staged / ".placement").write_text('{"directory": "", "manifest": "dead.metadata.json"}')
        for path in staged.glob("*.csv"):
            (root / "out" / path.name).hardlink_to(path)


def _wrong_ending(fault: Fault, seen: Seen) -> list[str]:
    if not seen.hits:
        return ["the fault hit nothing"]
    if fault.after_publishing:
        told = seen.code == 0 and re.search(r"published, but cleaning up .*failed", seen.told)
        return [] if told else [f"ended with {seen.code}, told {seen.told!r}"]
    clear = re.search(rf"^Storage(Unavailable)?Error: .*/out/.*{ERRORS[fault.error]}", seen.told, re.M)
    return [] if seen.code == 1 and clear else [f"ended with {seen.code}, told {seen.told!r}"]


def _wrong_in_the_end(root: Path, made: Project, *, artifacts_at_least: int) -> list[str]:
    """After the next run: every file is listed by a manifest, the ledger knows them all, and staging is gone."""
    found = left(root)
    wrong = [*found.violations, *(f"left over: {path}" for path in sorted(found.files - found.listed))]
    wrong += [str(path) for path in (root / "out").glob(".staging")]
    wrong += [str(problem) for problem in verify(made.store("local"), made.ledger).problems]
    count = len(artifacts.find(made.ledger))
    return wrong if count >= artifacts_at_least else [*wrong, f"{count} artifacts in the ledger"]
