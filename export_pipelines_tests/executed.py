"""Random inventories as real artifacts in a real store: what a pass of retention does to them, seen from outside."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from export_pipelines.ledger import artifacts, pins
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.inventory import Item
from export_pipelines.project import Project
from export_pipelines.retention.passes import Order, Pass
from export_pipelines.retention.prune import prune
from export_pipelines.storage.base import Placement
from export_pipelines.storage.manifest import FileEntry, Manifest, WindowUtc
from export_pipelines_tests.projects import project
from export_pipelines_tests.prunes import archived, files, manifests
from export_pipelines_tests.retention_oracle import BASE, Case, case, violations

ARCHIVES: list[dict[str, str] | bool] = [
    False,
    {"store": "vault", "format": "zip", "per": "month"},
    {"store": "vault", "format": "tar.zst"},
    {"store": "vault", "format": "tar.gz", "per": "month"},
]


def executed(root: Path, chance: random.Random) -> tuple[list[str], int]:
    """Draw an inventory, make it real, prune; what went wrong, and how many artifacts were deleted."""
    drawn, archive = _drawn(chance), chance.choice(ARCHIVES)
    made = _project(root, drawn, archive)
    contents = {item.artifact_id: _publish(made, item) for item in drawn.items}
    before, insist = files(root / "out"), chance.random() < 0.5
    order = {"by": "test", "now": drawn.now, "insist": insist}
    plan = prune(Pass(made, Order(**order, dry_run=True))).plan  # type: ignore[arg-type]
    wrong = violations(drawn, plan)
    outcome = prune(Pass(made, Order(**order)))  # type: ignore[arg-type]
    done = [row.artifact_id for row in outcome.deleted]
    if done != [gone.item.artifact_id for gone in plan.allowed(insist=insist)]:
        wrong.append(f"planned {[gone.item.artifact_id for gone in plan.delete]}, done {done}")
    wrong += [error for error in outcome.errors if error not in [refusal.message for refusal in plan.refused]]
    wrong += _seen(root, drawn, set(done), before)
    copies = [data for copy in archived(root / "vault") for data in copy.values()]
    if archive is not False:
        wrong += [f"{key} is in no archive" for key in done if contents[key] not in copies]
    return wrong, len(done)


def _drawn(chance: random.Random) -> Case:
    """A case without what a ledger cannot hold."""
    drawn = case(chance.choice)
    sound = [item for item in drawn.items if None not in (item.window_start, item.window_end, item.created_at)]
    items = [replace(item, undelivered=False, store="elsewhere" if item.unknown else "local") for item in sound]
    return replace(drawn, items=items)


def _project(root: Path, drawn: Case, archive: dict[str, str] | bool) -> Project:
    entries: dict[str, Any] = {}
    for export, policy in drawn.policies.items():
        rules = {} if policy.rules is None else policy.rules.model_dump(mode="json", exclude_defaults=True)
        schedule = {"cron": "0 3 * * *", "timezone": policy.timezone}
        entries[export] = {"retention": {**rules, "archive": archive}, "schedule": schedule}
    entries = entries or {"z": {}}
    made = project(root, entries, stores={"vault": {"type": "local", "root": str(root / "vault")}})
    exports = dict(made.specs.exports)
    for name, policy in drawn.policies.items():
        if policy.rules is None:  # as after a mistake in the policies
            exports[name] = replace(exports[name], retention=None)
    return Project(made.settings, replace(made.specs, exports=exports))


def _publish(made: Project, item: Item) -> bytes:
    """Make the item a published artifact; the bytes of its only file."""
    content = (item.artifact_id * 4).encode()[: item.bytes]
    manifest = _manifest(item, content)
    store = made.store("local")
    directory = f"{item.partition}/{item.export}/{item.artifact_id}"
    if item.store == "local":
        staging = store.stage(f"{item.export}/{item.artifact_id}", "run")
        with staging.create("data.csv") as file:
            file.write(content)
        placement = Placement(directory=directory, manifest_name="metadata.json", shared=False)
        store.publish(staging, placement, manifest.files, manifest=manifest.to_json())
    with made.ledger.write() as connection:
        artifacts.register(connection, ArtifactRow(item.store, f"{directory}/metadata.json", manifest))
    if not item.good:
        artifacts.mark_bad(made.ledger, item.artifact_id)
    who: dict[str, Any] = {"by": "test", "why": "test", "at": datetime.now(UTC)}
    if item.pinned:
        pins.pin(made.ledger, item.artifact_id, **who)
    if item.held_until:
        pins.hold(made.ledger, item.artifact_id, until=item.held_until, **who)
    return content


def _manifest(item: Item, content: bytes) -> Manifest:
    entry = FileEntry(
        name="data.csv",
        dataset=None,
        format="csv",
        media_type="text/csv",
        rows=1,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return Manifest(
        artifact_id=item.artifact_id,
        export=item.export,
        partition=item.partition,
        window=WindowUtc(start=item.window_start or BASE, end=item.window_end or BASE),
        scheduled_at=None,
        run_id="run",
        created_at=item.created_at or BASE,
        spec_sha256="0" * 64,
        row_limit=item.row_limit,
        rows={"data": 1},
        seconds=1.0,
        files=[entry],
        schemas={},
    )


def _seen(root: Path, drawn: Case, gone: set[str], before: dict[str, bytes]) -> Iterator[str]:
    """Differences between the store and what it should be after these artifacts went."""
    kept = [path for path, manifest in manifests(before).items() if manifest["artifact_id"] not in gone]
    directories = {path.rpartition("/")[0] for path in kept}
    expected = {path: data for path, data in before.items() if path.rpartition("/")[0] in directories}
    now = files(root / "out") if (root / "out").exists() else {}
    if now != expected:
        yield f"the store differs: {sorted(now.keys() ^ expected.keys())}"
    yield from (f"empty: {p}" for p in (root / "out").rglob("*") if p.is_dir() and not any(p.iterdir()))
