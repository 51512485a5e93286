"""What a letter about exports tells, in plain values: events, what they are about, artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from export_pipelines.notify.headers import one_line
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.moments import Moment
from export_pipelines.spec.recipients import Level

SENTENCE = 600
"""Characters of a cause or an advice, at most."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """One published file."""

    name: str
    path: str
    format: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ArtifactFacts:
    """One artifact. `directory` is where people find it: an absolute path or a URI."""

    artifact_id: str
    partition: str
    created: Moment
    directory: str
    rows: int
    bytes: int
    corrects: str | None = None
    """The artifact of the same partition that it replaces."""
    files: Sequence[FileFacts] = ()


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """One run that published, beside the means of the 7 days before it; None where there is nothing to compare."""

    rows: int
    seconds: float
    rows_per_second: float | None
    mean_rows: float | None
    mean_seconds: float | None
    mean_rows_per_second: float | None


@dataclass(frozen=True, kw_only=True)
class EventFacts:
    """One event. Texts are one line each; `details` are as they were recorded."""

    key: str
    kind: Kind
    level: Level
    export: str | None
    partition: str | None
    run_id: str | None
    at: Moment
    since: Moment
    """When the incident began; without one, when the event happened."""
    failures: int
    """How many in a row, this one included; 0 if that is not known."""
    cause: str
    advice: str
    command: str
    """What to type to produce the partition again; "" where nothing is to be produced."""
    run_url: str
    """The run in the Dagster UI, or ""."""
    asset_url: str
    """The partition of the asset in the Dagster UI, or ""."""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What it is about: an export, or else a schedule, a sensor, a file; "" if about nothing of its own."""
        return self.export or self.text("what") or self.text("path")

    def text(self, name: str) -> str:
        """A detail as one line of text; "" if there is none."""
        return text_of(self.details.get(name))

    def number(self, name: str) -> int:
        """A detail as a number; 0 if there is none."""
        value = self.details.get(name)
        return int(value) if isinstance(value, int | float) else 0

    def texts(self, name: str) -> list[str]:
        """A detail as lines of text."""
        value = self.details.get(name)
        return [text_of(item) for item in value] if isinstance(value, list | tuple) else []

    def moment(self, name: str) -> Moment | None:
        """A detail as an instant on the clocks of the event."""
        instant = instant_of(self.details.get(name))
        return Moment(instant, self.at.timezone) if instant else None


@dataclass(frozen=True, kw_only=True)
class Group:
    """The events of a message that belong together, oldest first: of one export, or of one partition of it."""

    name: str
    events: Sequence[EventFacts]

    @property
    def latest(self) -> EventFacts:
        """The last one to happen."""
        return self.events[-1]

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """Kind -> how many events of it."""
        return kinds_of(self.events)

    @property
    def partitions(self) -> list[str]:
        """Keys, the latest first."""
        return list(dict.fromkeys(event.partition for event in reversed(self.events) if event.partition))


def kinds_of(events: Sequence[EventFacts]) -> dict[Kind, int]:
    """Kind -> how many events of it, the most frequent first."""
    found: dict[Kind, int] = {}
    for event in events:
        found[event.kind] = found.get(event.kind, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def by_subject(events: Sequence[EventFacts]) -> list[Group]:
    """One group for each export, schedule, sensor or file, by name."""
    ordered = sorted(events, key=lambda event: event.subject)
    return [Group(name=name, events=list(group)) for name, group in groupby(ordered, key=lambda event: event.subject)]


def by_partition(events: Sequence[EventFacts]) -> list[Group]:
    """One group for each partition, the latest key first."""
    ordered = sorted(events, key=lambda event: event.partition or "")
    groups = [Group(name=key, events=list(group)) for key, group in groupby(ordered, key=lambda e: e.partition or "")]
    return groups[::-1]


def readable(value: Any) -> Any:
    """The JSON value without what is no valid text or number: lone surrogates, not-a-number, infinities."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if isinstance(value, Mapping):
        return {readable(str(key)): readable(item) for key, item in value.items()}
    return [readable(item) for item in value] if isinstance(value, list | tuple) else value


def text_of(value: Any) -> str:
    """The value on one line; "" for None."""
    return "" if value is None else one_line(str(value), longest=SENTENCE)


def instant_of(value: Any) -> datetime | None:
    """The instant (aware) of an ISO text, or None if it is none."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
