"""Exports that are due at nearly the same time on one connection, and how to spread them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from export_pipelines.spec.cron import parse_cron
from export_pipelines.text import counted
from export_pipelines.timing.findings import Conflict
from export_pipelines.timing.fires import fires
from export_pipelines.timing.ticks import Timing

_SPAN = timedelta(minutes=5)
_AHEAD = timedelta(days=32)  # a month's end is among them
_STEP = timedelta(minutes=10)


@dataclass(frozen=True)
class _Due:
    """Exports of one timing that read from one connection, at one tick."""

    at: datetime
    timing: Timing
    exports: tuple[str, ...]


def crowds(timings: Sequence[Timing], now: datetime, *, most: int) -> Iterator[Conflict]:
    """For each connection and set of schedules, the worst five minutes of a month with more than `most` exports."""
    for connection, due in sorted(_due(timings, now).items()):
        worst: dict[tuple[str, ...], list[_Due]] = {}
        for group in _windows(sorted(due, key=lambda entry: (entry.at.timestamp(), entry.timing.name)), most):
            key = tuple(sorted({entry.timing.schedule_name for entry in group}))
            if _number(group) > _number(worst.get(key, [])):
                worst[key] = group
        for key, group in _smallest(worst):
            yield _conflict(connection, key, group, most)


def _due(timings: Sequence[Timing], now: datetime) -> dict[str, list[_Due]]:
    """Connection -> what is due on it."""
    found: dict[str, list[_Due]] = {}
    for timing in timings:
        readers: dict[str, list[str]] = {}
        for export in timing.exports:
            readers.setdefault(export.spec.source, []).append(export.name)
        ticks = fires(timing.schedule, timing.calendar, now, partition=timing.partitioning.kind)
        for fire in takewhile(lambda fire: fire.instant < now + _AHEAD, ticks):
            for connection, names in readers.items() if not fire.skipped else ():
                found.setdefault(connection, []).append(_Due(fire.instant, timing, tuple(names)))
    return found


def _windows(due: Sequence[_Due], most: int) -> Iterator[list[_Due]]:
    """What is due within five minutes from each instant on, where that is more than `most` exports."""
    last, number, before = 0, 0, 0.0
    for first, entry in enumerate(due):
        begin = entry.at.timestamp()
        while last < len(due) and due[last].at.timestamp() < begin + _SPAN.total_seconds():
            number += len(due[last].exports)
            last += 1
        if number > most and begin > before:
            yield list(due[first:last])
        number -= len(entry.exports)
        before = begin


def _number(group: Sequence[_Due]) -> int:
    return sum(len(entry.exports) for entry in group)


def _smallest(worst: dict[tuple[str, ...], list[_Due]]) -> Iterator[tuple[tuple[str, ...], list[_Due]]]:
    """Without the sets of schedules of which a part is a crowd already."""
    for key, group in worst.items():
        if not any(set(other) < set(key) for other in worst):
            yield key, group


def _conflict(connection: str, schedules: tuple[str, ...], group: Sequence[_Due], most: int) -> Conflict:
    at = group[0].at
    message = (
        f"connection {connection}: {counted(_number(group), 'export')} of {', '.join(schedules)} are due within "
        f"5 minutes from {at:%Y-%m-%d %H:%M %Z}; {most} may be (EXPORT_CROWD)"
    )
    names = sorted(name for entry in group for name in entry.exports)
    return Conflict("crowd", schedules, message, _advice(group, most), names, at)


def _advice(group: Sequence[_Due], most: int) -> str:
    """Which schedules to move, and to when, so that no more than `most` exports are due at once."""
    slots: list[list[tuple[Timing, int]]] = [[]]
    for entry in sorted(group, key=lambda entry: -len(entry.exports)):
        left = len(entry.exports)
        while left:
            room = most - sum(count for _, count in slots[-1])
            taken = min(left, room)
            if taken:
                slots[-1].append((entry.timing, taken))
            left -= taken
            if left:
                slots.append([])
    texts = []
    for number, slot in enumerate(slots):
        at = group[0].at + number * _STEP
        texts += [_proposal(timing, count, group, at, stays=number == 0) for timing, count in slot]
    return "Spread the minutes: " + "; ".join(texts)


def _proposal(timing: Timing, count: int, group: Sequence[_Due], at: datetime, *, stays: bool) -> str:
    whole = sum(len(entry.exports) for entry in group if entry.timing is timing)
    part = f"`{timing.schedule_name}`" if count == whole else f"{count} of the exports of `{timing.schedule_name}`"
    if stays:
        return f"{part} stays" if count == whole else f"{part} stay"
    return f"{part} to {at:%H:%M}{_cron(timing, at)}"


def _cron(timing: Timing, at: datetime) -> str:
    """The schedule's cron expression for the other time, where it is a simple one."""
    crons = timing.schedule.cron or ()
    if len(crons) != 1 or len(crons[0].split()) != 5:
        return ""
    parsed = parse_cron(crons[0])
    if len(parsed.minutes) != 1 or not (parsed.hourly or len(parsed.hours) == 1):
        return ""
    _, hour, *days = crons[0].split()
    return f' (`cron: "{at.minute} {hour if parsed.hourly else at.hour} {" ".join(days)}"`)'
