"""Runs that end by a signal at a chosen point, what they leave, and what the next run makes of it (I1, I2, I4)."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from export_pipelines.crash import POINTS, SIGNALS, VARIABLE
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.runs import RunRow
from export_pipelines.project import Project
from export_pipelines.verify import verify
from export_pipelines_tests.forks import Ended, Forks
from export_pipelines_tests.projects import environment, published_files
from export_pipelines_tests.publishers import big_project, left

REPOSITORY = Path(__file__).parents[1]
DAY = "2026-01-05"
LAYOUTS = ("artifact", "flat")
OF_PUBLISHING = tuple(POINTS[: POINTS.index("lease_released") + 1])
OF_COMMANDS = tuple(point for point in OF_PUBLISHING if point != "materialized")
"""Those that a run without Dagster passes."""
ENDING = ("KILL", "TERM", "INT")
_NO_RETRIES = {"max_retries": 0}  # Dagster repeats an interrupted step in the same process if its policy allows


@dataclass(frozen=True)
class Crash:
    """Which signal where, in which layout."""

    point: str
    signal: str
    layout: str

    @property
    def visible(self) -> bool:
        """Whether the artifact has appeared by then. In the layout of directories one rename moves it as a whole."""
        return self._reached("moved" if self.layout == "artifact" else "manifest_written")

    def states(self, code: int) -> list[str]:
        """States that the ledger may have for the attempt once a later one looked; a killed process says nothing."""
        if self.point == "lease_taken":
            return []  # the ledger has not heard of an attempt
        return ["published" if self.visible else "died" if code < 0 else "failed"]

    def _reached(self, point: str) -> bool:
        return POINTS.index(self.point) >= POINTS.index(point)

    def __str__(self) -> str:
        return f"{self.point}:{self.signal} {self.layout}"


@dataclass(frozen=True)
class Scene:
    """A project with one published artifact, and how its export is run as a process of its own."""

    root: Path
    made: Project
    layout: str

    @classmethod
    def at(cls, root: Path, layout: str, **entry: object) -> Scene:
        """A new project with four batches of rows, whose export has been published once."""
        root.mkdir(exist_ok=True)
        made = big_project(root, rows=400, batch_rows=100, layout=layout, retries=_NO_RETRIES, **entry)
        scene = cls(root, made, layout)
        scene.publish()
        return scene

    @property
    def home(self) -> Path:
        """Where its Dagster instance is."""
        return self.root / "dagster"

    def publish(self) -> str:
        """Publish undisturbed, in this process; the artifact's id."""
        made = self.made
        return made.run(made.request("big", DAY, run_id=uuid.uuid4().hex)).manifest.artifact_id

    def attempts(self) -> list[RunRow]:
        """All attempts, newest first."""
        return runs.recent(self.made.ledger)


def exports_run(forks: Forks, scene: Scene, at: str) -> Ended:
    """`exports run`, ended at that point."""
    return forks.run(["run", "big", "--partition", DAY, "--json"], environment(scene.root, **{VARIABLE: at}))


def materialize(forks: Forks, scene: Scene, at: str) -> Ended:
    """`dagster asset materialize`, ended at that point, with an instance of its own below the scene's root.

    A killed run keeps its slot of the pool until a daemon frees it, so one instance would soon let nobody run.
    """
    shutil.rmtree(scene.home, ignore_errors=True)
    shutil.copytree(_new_home(scene.root / "new_home"), scene.home)
    return materialize_again(forks, scene, at)


def materialize_again(forks: Forks, scene: Scene, at: str = "", **variables: str) -> Ended:
    """The same with the instance that the last one has left."""
    words = ["asset", "materialize", "-m", "export_pipelines.definitions", "--select", "exports/big"]
    environ = environment(scene.root, DAGSTER_HOME=str(scene.home), **{VARIABLE: at, **variables})
    return forks.run([*words, "--partition", DAY], environ)


def _new_home(home: Path) -> Path:
    """A Dagster instance whose databases have their tables; making them takes longer than a run."""
    if not home.exists():
        import dagster as dg

        home.mkdir()
        shutil.copy(REPOSITORY / "dagster.yaml", home)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            instance.get_runs_count()
            instance.all_asset_keys()
            instance.all_instigator_state()
    return home


def violations(scene: Scene, crash: Crash, run: Callable[[str], Ended]) -> Iterator[str]:
    """End a run at the crash's point, look at what is left, run again, look again: what should be otherwise."""
    before, known = published_files(scene.root), len(scene.attempts())
    ended = run(f"{crash.point}:{crash.signal}")
    yield from _of_ending(crash, ended)
    yield from _of_half_state(scene, crash, before)
    if ended.code >= 0 and ended.stdout.startswith("{"):
        yield from _of_answer(crash, json.loads(ended.stdout))
    newest = scene.publish()
    yield from _of_whole_state(scene, before, newest, expected=1 + crash.visible)
    attempts = scene.attempts()
    states = [row.state for row in attempts[: len(attempts) - known]]
    if states != ["published", *crash.states(ended.code)]:
        yield f"the ledger says {states}"
    yield from _of_ledger(scene, attempts)


def _of_ending(crash: Crash, ended: Ended) -> Iterator[str]:
    number = SIGNALS[crash.signal]
    if crash.signal == "KILL" and ended.code != -number:
        yield f"ended with {ended.code}, not by the signal: {ended.stderr[-500:]}"
    if ended.code == -signal.SIGALRM:
        yield f"hung: {ended.stderr[-500:]}"
    if ended.code == 0:
        yield "ended as if nothing had happened"


def _of_half_state(scene: Scene, crash: Crash, before: dict[str, bytes]) -> Iterator[str]:
    found, after = left(scene.root), published_files(scene.root)
    yield from found.violations
    if scene.layout == "artifact" and found.listed != found.files:
        yield f"visible without a manifest: {sorted(found.files - found.listed)}"
    appeared = [path for path in after.keys() - before.keys() if path.endswith("metadata.json")]
    if len([path for path in appeared if ".staging" not in path]) != crash.visible:
        yield f"manifests that appeared: {appeared}"
    yield from _of_earlier(before, after)


def _of_whole_state(scene: Scene, before: dict[str, bytes], newest: str, *, expected: int) -> Iterator[str]:
    found, after, ledger = left(scene.root), published_files(scene.root), scene.made.ledger
    yield from found.violations
    yield from (f"left over: {path}" for path in sorted(set(after) - found.listed))
    if (scene.root / "out" / ".staging").exists():
        yield "staging is still there"
    yield from (str(finding) for finding in verify(scene.made.store("local"), ledger).problems)
    yield from _of_earlier(before, after)
    rows = artifacts.find(ledger, export="big", partition=DAY)
    if rows[0].manifest.artifact_id != newest:
        yield "the newest artifact is not that of the last run"
    if len({tuple(entry.sha256 for entry in row.manifest.files) for row in rows}) != 1:
        yield "the artifacts of the partition differ"
    manifests = len({path for path in after.keys() - before.keys() if path.endswith("metadata.json")})
    if manifests != expected:
        yield f"{manifests} artifacts appeared, not {expected}"


def _of_earlier(before: dict[str, bytes], after: dict[str, bytes]) -> Iterator[str]:
    for path, data in before.items():
        if path not in after or hashlib.sha256(after[path]).digest() != hashlib.sha256(data).digest():
            yield f"an earlier file changed: {path}"


def _of_ledger(scene: Scene, attempts: list[RunRow]) -> Iterator[str]:
    """Every artifact has one attempt that says so, and no attempt says so without one."""
    published = sorted(row.artifact_id or "" for row in attempts if row.state == "published")
    registered = sorted(row.manifest.artifact_id for row in artifacts.find(scene.made.ledger))
    if published != registered:
        yield f"attempts published {published}, the ledger has {registered}"
    for row in attempts:
        if (row.state == "published") != (row.artifact_id is not None) or row.state == "running":
            yield f"attempt {row.run_id}: {row.state}, artifact {row.artifact_id}"
        if row.finished_at is None or row.finished_at < row.started_at:
            yield f"attempt {row.run_id}: from {row.started_at} to {row.finished_at}"
        if row.state == "published" and row.rows != 400:
            yield f"attempt {row.run_id}: {row.rows} rows"


def _of_answer(crash: Crash, answer: dict[str, object]) -> Iterator[str]:
    """What a stopped command told its user."""
    if answer["published"] != int(crash.visible) or bool(answer["not_run"]) == crash.visible:
        yield f"told its user {answer['published']} published, {answer['not_run']} not run"
