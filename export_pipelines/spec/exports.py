"""Exports: what one YAML entry under `exports:` says."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from export_pipelines.errors import UnsafePathError
from export_pipelines.spec.after import AfterRef, AfterSpec
from export_pipelines.spec.base import KeyName, Name, SpecModel
from export_pipelines.spec.combining import Combine, check_combine
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.spec.formats import FormatSpec
from export_pipelines.spec.naming import check_path, check_path_template
from export_pipelines.spec.notify import NotifySpec
from export_pipelines.spec.retention import RetentionRef
from export_pipelines.spec.schedules import PartitionKind, ScheduleRef

OWNER_PATTERN = r"^(team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$"
LABEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"


def _plain_segment(text: str) -> str:
    try:
        return check_path(text)
    except UnsafePathError:
        raise ValueError(f"{text!r} cannot be the name of a directory on Windows; choose another one") from None


Owner = Annotated[str, StringConstraints(pattern=OWNER_PATTERN)]
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
Org = Annotated[str, StringConstraints(pattern=LABEL_PATTERN), AfterValidator(_plain_segment)]


class Retries(SpecModel):
    """How often a transient error is tried again; the pause doubles each time."""

    max_retries: int = Field(3, ge=0, le=20, description="Further attempts after the first.", examples=[5])
    delay_seconds: float = Field(10, ge=0, description="Pause before the first retry.", examples=[30])


class ExportSpec(SpecModel):
    """A named recipe; becomes the Dagster asset `exports/<name>`."""

    description: str = Field("", description="What it is and who it is for.", examples=["Active students"])
    owners: list[Owner] = Field(
        default_factory=list, description="`team:name` or an e-mail address.", examples=[["team:registrar"]]
    )
    org: Org | None = Field(
        None, description="Organisation it belongs to; a tag and a group.", examples=["lincoln-high"]
    )
    tags: dict[Label, str] = Field(
        default_factory=dict, description="Labels; tags of the Dagster asset.", examples=[{"class": "pii"}]
    )
    schedule: ScheduleRef | None = Field(
        None, description="When; none means on request only.", examples=["nightly", "daily", {"cron": "0 6 * * 1-5"}]
    )
    partition: PartitionKind = Field(
        "daily", description="Length of the window that one run covers.", examples=["monthly"]
    )
    combine: Combine | None = Field(
        None,
        description=(
            "A run of several partitions makes one artifact per calendar week, month, quarter or year of them, in the "
            "schedule's timezone; none means one run per partition."
        ),
        examples=["month"],
    )
    start: date = Field(date(2026, 1, 1), description="First day that may be exported.", examples=["2026-01-01"])
    source: KeyName = Field(description="Connection to read from.", examples=["school"])
    datasets: dict[Name, DatasetSpec] = Field(
        min_length=1,
        description="Name -> query; a file, sheet or section each.",
        examples=[{"students": {"table": "students"}}],
    )
    formats: list[FormatSpec] = Field(
        min_length=1, description="Formats to write, in one pass over the data.", examples=[["csv", {"type": "pdf"}]]
    )
    store: KeyName = Field("local", description="Store to publish to.", examples=["lake"])
    layout: Literal["artifact", "flat"] = Field(
        "artifact",
        description=(
            "`artifact`: a directory per run; `flat`: `{export}_{run8}_{YYYYMMDD_HHMMSS}.{ext}` beside its manifest."
        ),
        examples=["flat"],
    )
    path: str | None = Field(
        None,
        description="Directory template; the default is `{partition}/{export}/{stamp}_{run8}`, or none for `flat`.",
        examples=["{export}/{year}/{month}/{stamp}_{run8}", "{org}/{export}/{partition}/{run_id}"],
    )
    max_rows: int | None = Field(
        None,
        ge=1,
        description="Rows of a dataset beyond which the run fails; the default is EXPORT_MAX_RECORDS.",
        examples=[100_000],
    )
    on_empty: Literal["write", "skip", "fail"] = Field(
        "write", description="What to do when every dataset is empty.", examples=["skip"]
    )
    only_if: Literal["rows", "no_rows", "changed"] | None = Field(
        None,
        description=(
            "Publish only if some dataset has rows (`rows`), if none has any (`no_rows`), or if the content differs "
            "from what was published last (`changed`); otherwise the run is skipped, which is no failure."
        ),
        examples=["changed"],
    )
    spreadsheet_safe: bool = Field(
        True, description="Neutralise formulas in text cells of CSV and XLSX.", examples=[False]
    )
    preview_rows: int = Field(
        5, ge=0, le=50, description="First rows of each dataset that the Dagster UI shows; 0 shows none.", examples=[0]
    )
    retries: Retries = Field(
        default_factory=Retries, description="Retries of transient errors.", examples=[{"max_retries": 5}]
    )
    reread: bool = Field(
        False,
        description="Read the published files again and compare them with the manifest; a difference fails the run.",
        examples=[True],
    )
    notify: NotifySpec | None = Field(
        None,
        description="Who hears of this export; what is not given comes from the section `notify`.",
        examples=[{"success": ["partner-hook"], "failure": ["ops"]}],
    )
    retention: RetentionRef | None = Field(
        None,
        description="What to keep; none means the policy `default`, or EXPORT_RETENTION_DAYS.",
        examples=["statutory", {"keep_days": 90, "keep_monthly": 12}],
    )
    overlap: Literal["queue", "skip", "cancel"] = Field(
        "queue",
        description=(
            "While another run of the export waits or works: `queue` waits for its end, `skip` leaves the partition "
            "out, `cancel` ends the run of an earlier partition."
        ),
        examples=["skip"],
    )
    after: AfterRef | None = Field(
        None,
        description="Exports and Dagster assets that come first: a tick waits until they have the same partition.",
        examples=[["students"], {"exports": ["students"], "deadline_minutes": 120, "otherwise": "run"}],
    )
    catch_up_attempts: int = Field(
        3, ge=1, le=20, description="Runs of a scheduled partition that may fail before it is given up.", examples=[5]
    )
    max_runtime_seconds: int = Field(7200, ge=1, description="Dagster ends a run that takes longer.", examples=[600])

    @property
    def waits_for(self) -> AfterSpec | None:
        """What `after` says, written out; None if it waits for nothing."""
        return AfterSpec(exports=self.after) if isinstance(self.after, list) else self.after

    @field_validator("path")
    @classmethod
    def _safe_path(cls, value: str | None) -> str | None:
        return None if value is None else check_path_template(value)

    @field_validator("tags")
    @classmethod
    def _plain_tags(cls, value: dict[str, str]) -> dict[str, str]:
        for key, text in value.items():
            if not re.fullmatch(r"[A-Za-z0-9_.-]{0,63}", text):
                raise ValueError(f"tag {key!r}: {text!r} may hold letters, digits and _.- only, 63 at most")
        return value

    @field_validator("notify")
    @classmethod
    def _without_digests(cls, value: NotifySpec | None) -> NotifySpec | None:
        if value is not None and (value.digest is not None or value.digests is not None):
            raise ValueError("`digest` and `digests` belong to the section `notify`: summaries cover several exports")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [(spec.type, spec.name, spec.combines, spec.wrapping) for spec in self.formats]
        if len(set(names)) < len(names):
            raise ValueError("formats: two entries would write the same file; give one of them a `name`")
        if (
            self.path is not None
            and self.layout == "artifact"
            and not {"{run8}", "{run_id}"} & set(re.findall(r"\{\w+\}", self.path))
        ):
            raise ValueError("path: must contain {run8} or {run_id}, so that a new run never meets an old one's files")
        if self.path and "{org}" in self.path and not self.org:
            raise ValueError("path: uses {org}, and `org` is not set")
        self._check_condition()
        if self.combine:
            check_combine(self.combine, self.partition, self.path)
            if any(dataset.watermark for dataset in self.datasets.values()):
                raise ValueError("combine: with a `watermark`, each run has what is new, whatever its partitions are")
        return self

    def _check_condition(self) -> None:
        """`on_empty` is about the same case; its default says nothing."""
        given = self.on_empty if "on_empty" in self.model_fields_set else None
        if self.only_if == "no_rows" and given in ("skip", "fail"):
            raise ValueError(
                f"only_if: `no_rows` publishes only what has no rows, and `on_empty: {given}` never does; leave one out"
            )
        if self.only_if == "rows" and given in ("write", "fail"):
            raise ValueError(
                f"only_if: `rows` skips what has no rows, and `on_empty: {given}` does not; leave one of them out"
            )
