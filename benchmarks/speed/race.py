"""Runs the sides of contests in turn, each in a process of its own, and makes results of what they cost."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed.contests import Contest, Growth, Side, Sum


@dataclass(frozen=True)
class Result:
    """One row of the table: what was measured, the ratio (or the number), what was to be reached, and if it was."""

    name: str
    against: str
    value: float
    reach: str
    passed: bool
    spread: tuple[float, float] | None = None
    note: str = ""
    peak_mb: float | None = None


@dataclass
class Track:
    """Where everything is. `shared` is told to every side: databases, files."""

    root: Path
    peers: Path
    shared: dict[str, Any]
    rounds: int
    scale: float = 1.0
    _number: int = field(default=0)

    def run(self, side: Side, rows: int, **more: Any) -> dict[str, Any]:
        """What the side cost."""
        self._number += 1
        out = self.root / f"out{self._number}"
        job = {**self.shared, **side.options, **more, "rows": rows, "out": str(out)}
        python = sys.executable if side.own else str(self.peers / "bin" / "python")
        command = [python, "-m", f"benchmarks.speed.sides.{side.module}", json.dumps(job)]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "EXPORT_LOG": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        for left in self.root.glob(f"out{self._number}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if done.returncode:
            raise SystemExit(f"{side.module} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found


def contest(track: Track, what: Contest) -> Result:
    """Our rows per CPU second over those of the peer that is the fastest of all rounds."""
    rows = int(what.rows * track.scale)
    costs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(track.rounds * what.times):
        for side in (what.ours, *what.peers):
            costs.setdefault(side.label, []).append(track.run(side, rows))
    speeds = {label: [cost["rows"] / cost["cpu"] for cost in found] for label, found in costs.items()}
    mine = speeds.pop(what.ours.label)
    best = max(speeds, key=lambda label: statistics.median(speeds[label]))
    ratios = [own / other for own, other in zip(mine, speeds[best], strict=True)]
    value, note = statistics.median(ratios), f"{statistics.median(mine):,.0f} rows/CPU-s"
    note += "".join(f", {label} {statistics.median(found):,.0f}" for label, found in speeds.items())
    passed = value >= what.reach
    if what.bytes_reach is not None:
        size = costs[what.ours.label][0]["bytes"] / costs[best][0]["bytes"]
        passed, note = passed and size <= what.bytes_reach, f"{note}; {size:.2f} × its size"
    peak = max(cost["peak_mb"] for cost in costs[what.ours.label])
    return Result(what.name, best, value, f"≥ {what.reach:g} ×", passed, (min(ratios), max(ratios)), note, peak)


def total(track: Track, what: Sum) -> Result:
    """CPU seconds of all formats in one export over the sum of one export each."""
    rows = int(what.rows * track.scale)
    ratios = []
    for _ in range(track.rounds):
        together = track.run(Side("ours", {"source": what.source, "formats": list(what.formats)}), rows)
        single = [track.run(Side("ours", {"source": what.source, "formats": [one]}), rows) for one in what.formats]
        ratios.append(together["cpu"] / sum(one["cpu"] for one in single))
    value = statistics.median(ratios)
    spread = (min(ratios), max(ratios))
    return Result(what.name, "the sum of single exports", value, f"≤ {what.reach:g} ×", value <= what.reach, spread)


def growth(track: Track, what: Growth) -> Iterator[Result]:
    """How much more memory, and CPU per row, many rows take than few."""
    few, many = int(what.less * track.scale), int(what.rows * track.scale)
    peaks, costs = [], []
    for _ in range(max(1, track.rounds // 2)):
        found = [track.run(_limited(what, rows), rows) for rows in (few, many)]
        peaks.append((found[0]["peak_mb"], found[1]["peak_mb"]))
        costs.append(found[1]["cpu"] / found[1]["rows"] / (found[0]["cpu"] / found[0]["rows"]))
    value = statistics.median(more / less - 1 for less, more in peaks)
    most = max(more for _, more in peaks)
    passed = value < what.reach and (what.most_mb is None or most < what.most_mb)
    limit = f"< {what.reach:.0%}" + (f", < {what.most_mb:.0f} MB" if what.most_mb else "")
    note = f"{statistics.median(less for less, _ in peaks):.0f} → {most:.0f} MB"
    yield Result(what.name, "itself", value, limit, passed, note=note, peak_mb=most)
    if what.per_row is not None:
        cost = statistics.median(costs)
        name = what.name.replace("memory", "CPU per row")
        yield Result(name, "itself", cost, f"≤ {what.per_row:g} ×", cost <= what.per_row)


def _limited(what: Growth, rows: int) -> Side:
    table = "tenfold" if what.source == "postgres" else "rows"
    options: dict[str, Any] = {"source": what.source, "formats": list(what.formats), "limited": True, "table": table}
    return Side("ours", options | {"rows": rows})


def run_all(
    track: Track, contests: Sequence[Contest], sums: Sequence[Sum], growths: Sequence[Growth]
) -> Iterator[Result]:
    """The results, one after the other."""
    for one in contests:
        yield contest(track, one)
    for one_sum in sums:
        yield total(track, one_sum)
    for one_growth in growths:
        yield from growth(track, one_growth)
