"""The environment, read once, when asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from export_pipelines.errors import ConfigurationError

DEFAULTS = {
    "EXPORT_SPECS": "specs",
    "EXPORT_STORAGE_PATH": "exports",
    "EXPORT_STATE_PATH": ".exports",
    "EXPORT_LEDGER_URL": "sqlite:///${env:EXPORT_STATE_PATH}/ledger.db",
    "EXPORT_DEMO_DB": "${env:EXPORT_STATE_PATH}/demo.db",
    "EXPORT_MAX_RECORDS": "10000000",
    "EXPORT_LEASE_SECONDS": "60",
    "EXPORT_LEASE_WAIT_SECONDS": "60",
    "EXPORT_METRICS_FILE": "${env:EXPORT_STATE_PATH}/metrics.jsonl",
    "EXPORT_METRICS_MAX_BYTES": "10000000",
    "EXPORT_SILENT_MINUTES": "5",
    "EXPORT_MIN_INTERVAL_MINUTES": "60",
    "EXPORT_CROWD": "20",
    "EXPORT_CLEANUP_SCHEDULE": "15 3 * * *",
    "EXPORT_VERIFY_SCHEDULE": "45 4 * * *",
    "EXPORT_VERIFY_DAYS": "28",
    "EXPORT_HISTORY_DAYS": "400",
    "EXPORT_RUN_LOG_DAYS": "90",
    "EXPORT_DISK_WARN_PERCENT": "10",
    "EXPORT_CATCH_UP_RUNS": "10",
    "EXPORT_DAGSTER_URL": "http://127.0.0.1:3000",
    "ENABLE_EMAIL_NOTIFICATIONS": "false",
    "SMTP_PORT": "587",
    "SMTP_USE_TLS": "true",
}
"""Variable -> value where neither the environment nor the `.env` file sets it. Paths are relative to the directory in
which the program starts."""

MOST_RETENTION_DAYS = 36_500
"""A hundred years: what somebody writes who means for ever."""

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})
_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")


@dataclass(frozen=True)
class Settings:
    """Where specs, files and the ledger are, and the limits."""

    variables: Mapping[str, str]

    @property
    def specs(self) -> Path:
        """Directory of the spec files."""
        return Path(self.get("EXPORT_SPECS"))

    @property
    def storage_path(self) -> Path:
        """Root of the local store."""
        return Path(self.get("EXPORT_STORAGE_PATH"))

    @property
    def demo_database(self) -> Path:
        """The SQLite file that `exports demo` writes."""
        return Path(self.get("EXPORT_DEMO_DB"))

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger; holds a secret on PostgreSQL."""
        return self.get("EXPORT_LEDGER_URL")

    @property
    def max_records(self) -> int:
        """Rows of a dataset beyond which a run fails, where the spec sets no `max_rows`."""
        return int(self.number("EXPORT_MAX_RECORDS"))

    @property
    def retention_days(self) -> int | None:
        """Days that artifacts are kept for where the specs name no policy; None keeps them for ever."""
        if not self.variables.get("EXPORT_RETENTION_DAYS"):
            return None
        days = self.number("EXPORT_RETENTION_DAYS")
        if days != int(days) or days > MOST_RETENTION_DAYS:
            raise ConfigurationError(
                f"environment variable EXPORT_RETENTION_DAYS is {self.get('EXPORT_RETENTION_DAYS')!r}",
                hint=f"Give whole days, {MOST_RETENTION_DAYS:,} at most, or leave it unset to keep everything",
            )
        return int(days)

    @property
    def archive_path(self) -> Path | None:
        """Directory of the store `archive`, where the specs define none; None is no such store.

        Raises ConfigurationError if it lies in the local store's directory, or that one in it: each would take the
        other's files for strangers.
        """
        if not self.variables.get("EXPORT_ARCHIVE_PATH"):
            return None
        path = Path(self.get("EXPORT_ARCHIVE_PATH"))
        archive, exports = path.resolve(), self.storage_path.resolve()
        if archive.is_relative_to(exports) or exports.is_relative_to(archive):
            raise ConfigurationError(
                f"EXPORT_ARCHIVE_PATH, {path}, and EXPORT_STORAGE_PATH, {self.storage_path}, lie in each other",
                hint="Give two directories side by side",
            )
        return path

    @property
    def min_interval_minutes(self) -> float:
        """The least time between two ticks of a schedule."""
        return self.number("EXPORT_MIN_INTERVAL_MINUTES")

    @property
    def crowd(self) -> int:
        """Exports that may be due on one connection within a few minutes before somebody is warned."""
        return int(self.number("EXPORT_CROWD"))

    @property
    def stop_file(self) -> Path:
        """While this file exists, nothing is deleted."""
        return Path(self.get("EXPORT_STATE_PATH")) / "STOP"

    def cron(self, name: str) -> str | None:
        """The variable as a cron expression in UTC, or None if it is `off`. Whether it is one is checked elsewhere."""
        text = self.get(name).strip()
        return None if text.lower() == "off" else text

    @property
    def lease_seconds(self) -> float:
        """How long a publisher that stopped answering keeps its partition."""
        return self.number("EXPORT_LEASE_SECONDS")

    @property
    def lease_wait_seconds(self) -> float:
        """How long a run waits while another one publishes the same partition."""
        return self.number("EXPORT_LEASE_WAIT_SECONDS")

    @property
    def dagster_url(self) -> str:
        """Where people reach the Dagster UI, without a slash at the end."""
        return self.get("EXPORT_DAGSTER_URL").rstrip("/")

    def optional(self, name: str) -> str | None:
        """The variable's value, or None where it is unset or empty."""
        return self.get(name) if self.variables.get(name) or name in DEFAULTS else None

    def switch(self, name: str) -> bool:
        """The variable as yes or no. Raises ConfigurationError if it is neither."""
        text = self.get(name).strip().lower()
        if text not in _YES | _NO:
            raise ConfigurationError(f"environment variable {name} is {text!r}", hint="Write true or false")
        return text in _YES

    def get(self, name: str) -> str:
        """The variable's value, with references in it resolved. Raises ConfigurationError if it is unset."""
        value = self.variables.get(name) or DEFAULTS.get(name)
        if value is None:
            raise ConfigurationError(
                f"environment variable {name} is not set", hint=f"Set it, or write {name}=… into the .env file"
            )
        return self.resolve(value) if "${" in value else value

    def number(self, name: str) -> float:
        """The variable as a positive number. Raises ConfigurationError otherwise."""
        text = self.get(name)
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"environment variable {name} is {text!r}", hint="Give a positive number")
        return value

    def resolve(self, text: str) -> str:
        """The text with `${env:NAME}` and `${file:/path}` replaced by what they refer to.

        Values are never logged. Raises ConfigurationError naming the variable or file that is missing.
        """
        return _REFERENCE.sub(self._reference, text)

    def _reference(self, match: re.Match[str]) -> str:
        kind, name = match.groups()
        if kind == "env":
            return self.get(name)
        try:
            return Path(name).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"secret file {name} cannot be read: {error}", hint="Check the mount") from error


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment, or from `environ`; `.env` in the working directory fills what is unset."""
    given = os.environ if environ is None else environ
    file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return Settings({**file, **given})
