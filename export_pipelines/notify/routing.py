"""Who hears of what: the scopes of an export, from the narrowest to the widest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from export_pipelines.spec.load import SpecSet
from export_pipelines.spec.notify import Digests, Escalation, NotifySpec
from export_pipelines.spec.recipients import EmailRecipient, Level, RecipientSpec
from export_pipelines.spec.resolved import ResolvedExport

_BUILT_IN = NotifySpec(
    success=[],
    failure=[],
    warning=[],
    cleanup=[],
    digest=[],
    digests=Digests(),
    fold_minutes=60,
    group_over=20,
    include_file_details=True,
    include_statistics=True,
)


@dataclass(frozen=True)
class Policy:
    """What holds for one export: every field has a value, except that there may be no escalation."""

    specs: SpecSet
    export: ResolvedExport | None

    def to(self, level: Level) -> list[str]:
        """Names of recipients, or e-mail addresses, that hear of this level; each once."""
        for scope in self._scopes():
            given = [recipient for spec in scope for recipient in getattr(spec, level) or ()]
            if any(getattr(spec, level) is not None for spec in scope):
                return list(dict.fromkeys(given))
        return []

    @property
    def escalation(self) -> Escalation | None:
        """The second list, if there is one."""
        found: Escalation | None = self._first("escalation")
        return found

    @property
    def fold_minutes(self) -> float:
        """How long repeated failures wait for one message."""
        return float(self._first("fold_minutes"))

    @property
    def group_over(self) -> int:
        """How many exports may fail together before they share a message."""
        return int(self._first("group_over"))

    @property
    def include_file_details(self) -> bool:
        """Whether messages list the files."""
        return bool(self._first("include_file_details"))

    @property
    def include_statistics(self) -> bool:
        """Whether messages tell rows and times."""
        return bool(self._first("include_statistics"))

    def _first(self, field: str) -> Any:
        values = (getattr(spec, field) for scope in self._scopes() for spec in scope)
        return next((value for value in values if value is not None), None)

    def _scopes(self) -> Iterator[list[NotifySpec]]:
        """The narrowest first. Owners are one scope: what any of them gives holds."""
        if self.export is not None:
            spec = self.export.spec
            if spec.notify is not None:
                yield [spec.notify]
            yield [self._owner(owner) for owner in spec.owners]
            if spec.org and f"org:{spec.org}" in self.specs.notify:
                yield [self.specs.notify[f"org:{spec.org}"]]
        if "default" in self.specs.notify:
            yield [self.specs.notify["default"]]
        yield [_BUILT_IN]

    def _owner(self, owner: str) -> NotifySpec:
        """What the specs say of the owner; a person hears of failures and warnings without being asked."""
        given = self.specs.notify.get(owner, NotifySpec())
        if owner.startswith("team:"):
            return given
        return NotifySpec(failure=[owner], warning=[owner]).model_copy(update=_given(given))


def policy(specs: SpecSet, export: str | None) -> Policy:
    """What holds for the export; what the project's default says where the specs do not have it."""
    return Policy(specs, specs.exports.get(export) if export else None)


def digests_of(specs: SpecSet, scope: str) -> tuple[Digests, list[str]]:
    """When the scope's summaries are due, and who gets them."""
    spec, default = specs.notify[scope], specs.notify.get("default", NotifySpec())
    return spec.digests or default.digests or Digests(), list(dict.fromkeys(spec.digest or ()))


def exports_of(specs: SpecSet, scope: str) -> list[str]:
    """Names of the exports in the scope: all in `default`, those of an organisation, or of an owner."""
    kind, _, name = scope.partition(":")
    return sorted(
        export.name
        for export in specs.exports.values()
        if scope == "default" or scope in export.spec.owners or (kind == "org" and export.spec.org == name)
    )


def recipient(specs: SpecSet, name: str) -> RecipientSpec | None:
    """The recipient of this name or address; None if the specs no longer define it."""
    return EmailRecipient(to=[name]) if "@" in name else specs.recipients.get(name)


def _given(spec: NotifySpec) -> dict[str, object]:
    return {field: getattr(spec, field) for field in NotifySpec.model_fields if getattr(spec, field) is not None}
