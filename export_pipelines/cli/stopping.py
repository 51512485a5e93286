"""Ctrl-C and SIGTERM end a run cleanly: what is open is closed, what is staged is deleted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """Somebody asked the program to end."""

    def __init__(self, number: int) -> None:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        super().__init__(f"Stopped by {name}")
        self.exit_code = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stopped where the program is when a signal comes. A second signal does what it does without this."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def _stop(number: int, _frame: FrameType | None) -> None:
        _restore()
        raise Stopped(number)

    def _restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        _restore()
