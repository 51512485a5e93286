"""Names of variants, each mapped to "module:Class" and imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from export_pipelines.errors import ConfigurationError

SOURCES = {
    "sqlite": "export_pipelines.sources.sqlite:SqliteSource",
    "postgresql": "export_pipelines.sources.postgres:PostgresSource",
    "postgres": "export_pipelines.sources.postgres:PostgresSource",
    "duckdb": "export_pipelines.sources.duckdb:DuckdbSource",
    "*": "export_pipelines.sources.sqlalchemy:SqlalchemySource",
}
FORMATS = {
    "csv": "export_pipelines.formats.csv:CsvWriter",
    "json": "export_pipelines.formats.json:JsonWriter",
    "jsonl": "export_pipelines.formats.jsonl:JsonlWriter",
    "parquet": "export_pipelines.formats.parquet:ParquetWriter",
    "xlsx": "export_pipelines.formats.xlsx:XlsxWriter",
    "pdf": "export_pipelines.formats.pdf:PdfWriter",
}
STORES = {
    "local": "export_pipelines.storage.local:LocalStore",
    "s3": "export_pipelines.storage.s3:S3Store",
}
SENDERS = {
    "email": "export_pipelines.notify.email:EmailSender",
    "webhook": "export_pipelines.notify.webhook:WebhookSender",
    "apprise": "export_pipelines.notify.apprise:AppriseSender",
}


def resolve(kind: str, registry: dict[str, str], name: str) -> Any:
    """The class registered as `name`, imported now.

    `kind` is the word for messages ("format", "store", …). Falls back to the entry `*` where the registry has one.
    Raises ConfigurationError if the name is unknown (the message lists the known ones) or a dependency is missing.
    """
    target = registry.get(name) or registry.get("*")
    if target is None:
        raise ConfigurationError(f"unknown {kind} {name!r}", hint=f"Known: {', '.join(sorted(registry))}")
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ImportError as error:
        raise ConfigurationError(
            f"{kind} {name!r} needs the Python package {error.name!r}", hint=f"Install it: pip install {error.name}"
        ) from error
