"""The state of the project in the language of Prometheus, computed when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from export_pipelines.ledger import pulses
from export_pipelines.ledger.ledger import LedgerUnavailableError
from export_pipelines.monitoring.counters import Counters, counters
from export_pipelines.monitoring.health import Health, health
from export_pipelines.monitoring.stats import run_stats
from export_pipelines.monitoring.storage import capacity
from export_pipelines.project import Project

Family = type[CounterMetricFamily] | type[GaugeMetricFamily]
_DAY = timedelta(days=1)


class ExportsCollector(Collector):
    """Reads the specs and the ledger at every scrape. `health` is what the last one found."""

    def __init__(self, load: Callable[[], Project]) -> None:
        """`load` gives the project; its ledger is closed after each scrape."""
        self._load = load
        self.health = Health()

    def collect(self) -> list[Metric]:
        """All metrics; only that nothing is healthy while the ledger cannot be read."""
        project, now = self._load(), datetime.now(UTC)
        try:
            self.health = found = health(project, now)
            more = [*_of_exports(project, found, now), *_of_project(found)] if found.reachable else []
            more += [*_of_files(project, found, now)] if found.reachable else []
        except LedgerUnavailableError as error:  # lost after it was found healthy
            self.health, more = Health(problems=[str(error)], reachable=False), []
        finally:
            project.ledger.close()
        meaning = "1 if `exports health` finds nothing wrong, else 0"
        return [_single("exports_healthy", meaning, not self.health.problems), *more]


def registry(collector: ExportsCollector) -> CollectorRegistry:
    """A registry that holds nothing else."""
    made = CollectorRegistry(auto_describe=False)
    made.register(collector)
    return made


def text(collector: ExportsCollector) -> bytes:
    """All metrics in the text format."""
    return generate_latest(registry(collector))


def _of_exports(project: Project, found: Health, now: datetime) -> Iterator[Metric]:
    """One sample for every export that the specs or the ledger know."""
    known = counters(project.ledger)
    names = sorted({*known, *project.specs.exports, *(trouble.export for trouble in found.troubles)})
    exports = {name: known.get(name, Counters()) for name in names}
    yield from _totals(exports)
    yield from _last(exports)
    ratios = {stats.export: stats.success_rate for stats in run_stats(project.ledger, since=now - _DAY)}
    yield _each("exports_success_ratio", "Runs that succeeded in the last 24 hours, 0 to 1", ratios)
    late = {trouble.export for trouble in found.troubles if trouble.due_at}
    yield _each("exports_late", "1 while a partition has missed its deadline", {n: n in late for n in names})
    yield _missing(found, names)
    open_ = {trouble.export for trouble in found.troubles}
    yield _each(
        "exports_incident_open", "1 from the first failure until it works again", {n: n in open_ for n in names}
    )


def _missing(found: Health, names: Iterable[str]) -> Metric:
    numbers = dict.fromkeys(names, 0)
    for one in (*found.missing, *found.given_up):
        numbers[one.export] = numbers.get(one.export, 0) + one.number
    meaning = "Partitions that were due more than an hour ago, or were given up, and are not published"
    return _each("exports_partitions_missing", meaning, numbers)


def _totals(exports: Mapping[str, Counters]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "exports_runs", "Attempts to produce a partition that ended, each retry counted", labels=["export", "status"]
    )
    for name, numbers in exports.items():
        for state, number in numbers.attempts.items():
            ended.add_metric([name, state], number)
    yield ended
    counted = (
        ("exports_rows", "Rows that were published", {name: numbers.rows for name, numbers in exports.items()}),
        ("exports_bytes", "Bytes that were published", {name: numbers.bytes for name, numbers in exports.items()}),
    )
    for name, meaning, values in counted:
        yield _each(name, meaning, values, of=CounterMetricFamily)


def _last(exports: Mapping[str, Counters]) -> Iterator[Metric]:
    last = {name: numbers.last for name, numbers in exports.items() if numbers.last}
    ends = {name: (run.finished_at or run.started_at).timestamp() for name, run in last.items()}
    yield _each("exports_last_success_timestamp_seconds", "When the export published last, since 1970", ends)
    seconds = {name: run.seconds for name, run in last.items()}
    yield _each("exports_last_duration_seconds", "How long that took from start to end", seconds)
    yield _each("exports_last_rows", "Rows that it published then", {name: run.rows for name, run in last.items()})


def _of_project(found: Health) -> Iterator[Metric]:
    messages = GaugeMetricFamily("exports_notifications", "Messages in the outbox by state", labels=["state"])
    for state, number in found.outbox.states.items():
        messages.add_metric([state], number)
    yield messages
    seen = found.daemon_seen_at
    yield from _known(
        ("exports_queued_runs", "Dagster runs that wait to be started", found.gauge(pulses.QUEUED_RUNS)),
        ("exports_running_runs", "Dagster runs at work", found.gauge(pulses.RUNNING_RUNS)),
        (
            "exports_daemon_last_seen_timestamp_seconds",
            "Last sign of life of the Dagster daemon, since 1970",
            seen.timestamp() if seen else None,
        ),
    )


def _of_files(project: Project, found: Health, now: datetime) -> Iterator[Metric]:
    """How the published files stand, and what still fits into the stores on disk."""
    files = found.files
    unread = (now - files.unread_since).total_seconds() if files.unread_since else None
    yield from _known(
        ("exports_artifacts_damaged", "Artifacts whose files were found damaged or missing", files.artifacts),
        ("exports_archives_damaged", "Archives that were found damaged or missing", files.archives),
        ("exports_longest_unread_seconds", "Since what was not read for longest was found right, or made", unread),
    )
    disks = {name: disk for name in project.specs.stores if (disk := capacity(project, name))}
    free = {name: disk.free_bytes for name, disk in disks.items()}
    yield _each("exports_store_free_bytes", "Free on the disk of the store", free, by="store")
    parts = {name: disk.free for name, disk in disks.items()}
    yield _each("exports_store_free_ratio", "Free part of the disk of the store, 0 to 1", parts, by="store")


def _known(*gauges: tuple[str, str, float | None]) -> Iterable[Metric]:
    return [_single(name, meaning, value) for name, meaning, value in gauges if value is not None]


def _single(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=float(value))


def _each(
    name: str,
    meaning: str,
    values: Mapping[str, float | None],
    *,
    of: Family = GaugeMetricFamily,
    by: str = "export",
) -> Metric:
    """One sample for each export, or whatever `by` names, whose value is known."""
    family = of(name, meaning, labels=[by])
    for key, value in values.items():
        if value is not None:
            family.add_metric([key], float(value))
    return family
