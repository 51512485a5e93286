"""The manifest: what one artifact is made of, as JSON beside its files."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from export_pipelines.errors import DamagedArtifactError
from export_pipelines.spec.naming import span_of

if TYPE_CHECKING:  # the ledger, which reads manifests, does without
    import pyarrow as pa


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class WindowUtc(_Part):
    """The window of the partition, in UTC."""

    start: datetime
    end: datetime


class FileEntry(_Part):
    """One published file. `name` is relative to the manifest's directory."""

    name: str
    dataset: str | None = Field(description="None if the file holds all datasets")
    format: str
    media_type: str
    rows: int
    bytes: int
    sha256: str


class Column(_Part):
    """Name and Arrow type of one column."""

    name: str
    type: str
    nullable: bool = True

    @classmethod
    def of(cls, field: pa.Field) -> Self:
        """The column of an Arrow field."""
        return cls(name=field.name, type=str(field.type), nullable=field.nullable)


class CheckResult(_Part):
    """Whether one check held. `name` is unique within the export; `dataset` is None if it looks at all files."""

    name: str
    dataset: str | None
    passed: bool
    blocking: bool
    message: str
    values: dict[str, int | float | str] = Field(default_factory=dict)
    """The numbers behind it: finite ones, or text where a number would lose digits."""


class Watermark(_Part):
    """Which rows of a dataset an artifact holds: those above `after`, up to `up_to`, both as text."""

    column: str
    type: str = Field(description="Arrow type of the column")
    after: str | None = Field(description="None if there was no bound")
    up_to: str | None = Field(description="The highest value; `after` if there were no rows")


class Manifest(_Part):
    """Everything about an artifact that can be checked later without a database."""

    version: Literal[1] = 1
    artifact_id: str
    export: str
    partition: str
    last_partition: str | None = Field(None, description="Set when it combines several partitions: the last of them")
    window: WindowUtc
    scheduled_at: datetime | None
    run_id: str
    created_at: datetime
    spec_sha256: str
    row_limit: int | None = Field(None, description="Set when the run was told to take the first rows only")
    rows: dict[str, int] = Field(description="Dataset -> rows")
    seconds: float
    files: list[FileEntry]
    schemas: dict[str, list[Column]]
    checks: list[CheckResult] = Field(default_factory=list)
    corrects: str | None = Field(None, description="The artifact of the same partition that this one replaces")
    content_sha256: str | None = Field(None, description="Of the values, where only changed ones are published")
    watermarks: dict[str, Watermark] = Field(default_factory=dict, description="Dataset -> what it holds")

    @property
    def span(self) -> str:
        """Its partition, or the first and the last one that it combines: `2026-01-01--2026-01-31`."""
        return span_of(self.partition, self.last_partition)

    @property
    def good(self) -> bool:
        """Whether no blocking check failed."""
        return not any(check.blocking and not check.passed for check in self.checks)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.bytes for entry in self.files)

    @property
    def total_rows(self) -> int:
        """Rows of all datasets, each counted once however many formats hold it."""
        return sum(self.rows.values())

    def to_json(self) -> bytes:
        """The manifest as indented UTF-8 JSON with a final newline."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """The manifest in `data`. Raises DamagedArtifactError naming `where` if it is none."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DamagedArtifactError(
            f"manifest {where} cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            hint="Restore it from a backup, or remove the artifact's directory and run the export again",
        ) from error
