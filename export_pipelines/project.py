"""A project: its settings and specs, and what they name, built when first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING

from export_pipelines.errors import SpecError
from export_pipelines.registry import SOURCES, STORES, resolve
from export_pipelines.settings import Settings, load_settings
from export_pipelines.spec.load import SpecSet, load_specs
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.partitions import Window, window_of

if TYPE_CHECKING:  # these import pyarrow or SQLAlchemy, which most commands of the CLI do without
    import pyarrow as pa

    from export_pipelines.ledger.ledger import Ledger
    from export_pipelines.opening import Artifact, OpenExport, Request, Services
    from export_pipelines.sources.base import Source
    from export_pipelines.storage.base import Store


@dataclass(frozen=True)
class Project:
    """What the CLI and Dagster work with. Creating it reads the specs and connects to nothing."""

    settings: Settings
    specs: SpecSet

    @classmethod
    def load(cls, settings: Settings | None = None) -> Project:
        """The project of the environment. Broken specs are in `specs.problems`; nothing is raised for them."""
        settings = settings or load_settings()
        return cls(settings, load_specs(settings.specs, settings=settings))

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger; connects when used."""
        from export_pipelines.ledger.ledger import Ledger

        return Ledger(self.settings.ledger_url)

    def export(self, name: str) -> ResolvedExport:
        """The export. Raises SpecError naming the nearest known one, or its problems, if it cannot be run."""
        if name in self.specs.exports:
            return self.specs.exports[name]
        problems = [str(problem) for problem in self.specs.quarantined.get(name, ())]
        if problems:
            raise SpecError(f"export {name!r} has mistakes:\n" + "\n".join(problems), hint="")
        near = get_close_matches(name, self.specs.exports, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "List them: exports list"
        raise SpecError(f"there is no export {name!r}", hint=hint)

    def source(self, export: ResolvedExport) -> Source:
        """The export's source; connects when opened. Raises ConfigurationError if a secret is missing."""
        url = self.settings.resolve(export.connection.url)
        source: Source = resolve("source", SOURCES, url.partition("://")[0])(export.spec.source, export.connection, url)
        return source

    def store(self, name: str) -> Store:
        """The store; connects when used. Raises SpecError if there is none of this name."""
        spec = self.specs.stores.get(name)
        if spec is None:
            raise SpecError(f"there is no store {name!r}", hint=f"Known: {', '.join(self.specs.stores)}")
        store: Store = resolve("store", STORES, spec.type).from_spec(name, spec, self.settings)
        return store

    def open(self, request: Request) -> OpenExport:
        """The export's datasets, opened; see `open_export`."""
        from export_pipelines.opening import open_export

        return open_export(request, self.source(request.export), self.services(request.export.spec.store))

    def services(self, store: str) -> Services:
        """What a run that publishes to the store works with."""
        from export_pipelines.ledger.metrics_file import MetricsFile
        from export_pipelines.opening import Services

        return Services(
            store=self.store(store),
            ledger=self.ledger,
            lease_seconds=self.settings.lease_seconds,
            lease_wait_seconds=self.settings.lease_wait_seconds,
            metrics=MetricsFile.from_settings(self.settings),
        )

    def run(self, request: Request, *, on_rows: Callable[[int], None] = lambda _: None) -> Artifact:
        """Produce and publish one partition; see `open_export` and `publish` for what it raises."""
        from export_pipelines.export import publish

        with self.open(request) as opened:
            on_rows(0)  # the queries have executed
            return publish(opened, on_rows=on_rows)

    def preview(self, request: Request, *, rows: int) -> dict[str, pa.Table]:
        """Dataset -> its first rows; publishes nothing. See `export_pipelines.opening.preview`."""
        from export_pipelines.opening import marks_of, preview

        return preview(request, self.source(request.export), rows=rows, marks=marks_of(request, self.ledger))

    def request(
        self,
        name: str,
        partition: str,
        *,
        run_id: str,
        scheduled_at: datetime | None = None,
        row_limit: int | None = None,
        last_partition: str | None = None,
        shared_run: bool = False,
    ) -> Request:
        """A request for one partition of the export of this name, created now. Raises SpecError.

        With `last_partition`, for all from `partition` to that one, combined; `shared_run` is of the request.
        """
        from export_pipelines.opening import Request

        export = self.export(name)
        windows = [
            window_of(export.spec.partition, key, export.timezone) for key in (partition, last_partition or partition)
        ]
        return Request(
            export=export,
            window=Window(windows[0].start, windows[-1].end),
            partition=partition,
            last_partition=last_partition,
            shared_run=shared_run,
            run_id=run_id,
            created_at=datetime.now(UTC),
            scheduled_at=scheduled_at,
            row_limit=row_limit,
        )
