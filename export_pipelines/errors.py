"""Every error that this package raises on purpose.

    ExportError
    ├── PermanentError            the same input fails again: never retried
    │   ├── SpecError             a YAML entry, a partition key or an option is wrong
    │   ├── ConfigurationError    the environment is wrong: variable unset, extra not installed
    │   ├── QueryError            the database refused the statement: syntax, permission, timeout
    │   ├── ColumnTypeError       a column's type or value has no place in the declared schema
    │   ├── FormatError           a value does not fit the file format
    │   ├── RowLimitExceededError more rows than `max_rows`
    │   ├── EmptyExportError      no rows and `on_empty: fail`
    │   ├── StorageError          the store refuses: disk full, no permission, name taken
    │   ├── UnsafePathError       a path would leave the store's root or follow a symlink
    │   ├── LeaseLostError        another run took over this partition; this one may not publish
    │   ├── DamagedArtifactError  a published file differs from its manifest
    │   └── RecipientRefusedError a notification was refused for good
    └── TransientError            the same input may succeed later: retried with growing pauses
        ├── SourceUnavailableError   the database cannot be reached or dropped the connection
        ├── StorageUnavailableError  the store cannot be reached or dropped the connection
        ├── RecipientUnavailableError a notification cannot be delivered now
        └── LeaseHeldError           another run is publishing this partition now

`ConditionSkip` is not an error but the signal that a condition of the spec ended a run without an artifact;
`OnEmptySkip` is the one of `on_empty: skip`.
A message says what we were doing, with which value, and what to do about it. It never holds a secret.
"""


class ExportError(Exception):
    """What went wrong, and `hint`: what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.hint = hint


class PermanentError(ExportError):
    """The same input fails again; do not retry."""


class TransientError(ExportError):
    """The same input may succeed later; retry with growing pauses."""


class SpecError(PermanentError):
    """A YAML entry, a partition key or an option is wrong."""


class ConfigurationError(PermanentError):
    """The environment is wrong: a variable is unset, a file is missing, an extra is not installed."""


class QueryError(PermanentError):
    """The database refused the statement."""


class ColumnTypeError(PermanentError):
    """A column's type or value has no place in the declared schema."""


class FormatError(PermanentError):
    """A value does not fit the file format."""


class RowLimitExceededError(PermanentError):
    """A dataset has more rows than `max_rows`."""


class EmptyExportError(PermanentError):
    """Every dataset is empty and `on_empty` is `fail`."""


class StorageError(PermanentError):
    """The store refuses: disk full, no permission, name taken."""


class UnsafePathError(PermanentError):
    """A path would leave the store's root or follow a symbolic link."""


class LeaseLostError(PermanentError):
    """Another run took over this partition; this one may not publish."""


class DamagedArtifactError(PermanentError):
    """A published file differs from what its manifest says."""


class RecipientRefusedError(PermanentError):
    """A notification was refused for good: unknown address, wrong credentials."""


class SourceUnavailableError(TransientError):
    """The database cannot be reached or dropped the connection."""


class StorageUnavailableError(TransientError):
    """The store cannot be reached or dropped the connection."""


class RecipientUnavailableError(TransientError):
    """A notification cannot be delivered now: its server does not answer, or says to come back later."""


class LeaseHeldError(TransientError):
    """Another run is publishing this partition now."""


class ConditionSkip(Exception):  # noqa: N818 - a signal, not an error
    """A condition of the spec ended a run without an artifact: `reason` says which, and what was found."""

    def __init__(self, what: str, *, reason: str) -> None:
        super().__init__(f"{what}: {reason}: nothing is published")
        self.reason = reason


class OnEmptySkip(ConditionSkip):
    """`on_empty: skip` ended a run without an artifact."""
