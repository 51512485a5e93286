"""Connections: where rows come from."""

from __future__ import annotations

from pydantic import Field, field_validator

from export_pipelines.spec.base import SpecModel, Text


class ConnectionSpec(SpecModel):
    """A database, or a folder of Parquet and CSV files, that exports read from."""

    url: Text = Field(
        description=(
            "SQLAlchemy-style URL. `postgresql://` and `sqlite:///` are read through ADBC, `duckdb:///FOLDER` reads "
            "the Parquet and CSV files of a folder, every other URL goes through SQLAlchemy. Secrets are references: "
            "`${env:NAME}` or `${file:/run/secrets/name}`."
        ),
        examples=[
            "postgresql://report:${env:DB_PASSWORD}@db/school",
            "sqlite:///${env:EXPORT_DEMO_DB}",
            "duckdb:///data",
        ],
    )
    max_concurrent: int = Field(
        4, ge=1, le=1000, description="Runs that may read from it at once; becomes a Dagster pool.", examples=[2]
    )
    statement_timeout_seconds: float = Field(
        3600,
        gt=0,
        description="Ends a statement that runs longer; docs/sources.md says how exactly on which database.",
        examples=[600],
    )
    connect_timeout_seconds: float = Field(15, gt=0, description="How long to wait for a connection.", examples=[5])
    batch_rows: int = Field(
        16_384, ge=1, le=1_000_000, description="Rows per record batch; bounds memory.", examples=[10_000]
    )

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, value: str) -> str:
        if "://" not in value and not value.startswith("${"):
            raise ValueError("must be a URL such as postgresql://user@host/db or sqlite:///file.db")
        return value
