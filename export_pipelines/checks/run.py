"""The checks of one run, from its first batch to their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from export_pipelines.checks.judge import Evidence, Verdict, judge
from export_pipelines.checks.measure import Measure
from export_pipelines.checks.plan import PlannedCheck, planned_checks
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.checks import DatasetChecks
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.storage.manifest import CheckResult, Column


class RunChecks:
    """Use: for each dataset `begin`, then `add` for each batch; then `results`, once."""

    def __init__(self, spec: ExportSpec, *, active: bool) -> None:
        """Nothing is measured or judged unless `active`."""
        self._checks = {name: dataset.checks for name, dataset in spec.datasets.items() if active and dataset.checks}
        self._planned = planned_checks(spec)
        self._measures: dict[str, Measure] = {}
        self._current: Measure | None = None

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """The following batches are the dataset's."""
        self._current = None
        if dataset in self._checks:
            measure = self._measures[dataset] = Measure(self._checks[dataset], schema)
            self._current = measure if measure.needed else None

    def add(self, batch: pa.RecordBatch) -> None:
        """Measure the rows of one batch of the dataset begun last."""
        if self._current:
            self._current.add(batch)

    def results(
        self,
        rows: Mapping[str, int],
        schemas: Mapping[str, Sequence[Column]],
        *,
        totals: Mapping[str, RecordStream],
        earlier: Callable[[], ArtifactRow | None],
    ) -> list[CheckResult]:
        """The results, in the order of the plan.

        `rows` and `schemas` are what was written, by dataset; `totals` are the streams of the control queries, which
        are read here; `earlier` finds the last good artifact of an earlier partition and is called if a check asks for
        it. Raises what reading a control query or `earlier` raises, if it is transient.
        """
        compared = earlier() if any(map(_compares, self._checks.values())) else None
        found = []
        for dataset, checks in self._checks.items():
            evidence = Evidence(
                dataset=dataset,
                checks=checks,
                rows=rows[dataset],
                columns=schemas[dataset],
                measure=self._measures[dataset],
                total=totals.get(dataset),
                earlier=compared.manifest if compared else None,
            )
            mine = [check for check in self._planned if check.dataset == dataset]
            found += [_result(check, judge(check.kind, evidence)) for check in mine]
        return found


def _compares(checks: DatasetChecks) -> bool:
    return checks.columns is not None or (checks.rows is not None and checks.rows.change_percent is not None)


def _result(check: PlannedCheck, verdict: Verdict) -> CheckResult:
    return CheckResult(
        name=check.name,
        dataset=check.dataset,
        passed=verdict.passed,
        blocking=check.blocking,
        message=verdict.message,
        values=verdict.values,
    )
