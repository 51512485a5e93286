"""Ctrl-C and SIGTERM end a run cleanly: what is open is closed, what is staged is deleted."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_SECONDS = 0.05


class Stopped(KeyboardInterrupt):
    """Somebody asked the program to end."""

    def __init__(self, number: int) -> None:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        super().__init__(f"Stopped by {name}")
        self.number = number
        self.exit_code = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stopped where the program is when a signal comes. A second signal does what it does without this."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    hook = sys.unraisablehook
    again: list[Timer] = []

    def _install() -> None:
        for number in _SIGNALS:
            signal.signal(number, _stop)

    def _restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def _stop(number: int, _frame: FrameType | None) -> None:
        _restore()
        raise Stopped(number)

    def _unraisable(unraisable: Any) -> None:
        # Python drops what is raised in a generator that it is closing: send the signal again when it has closed it.
        if isinstance(unraisable.exc_value, Stopped):
            _install()
            again.append(Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), unraisable.exc_value.number)))
            again[-1].start()
        else:
            hook(unraisable)

    sys.unraisablehook = _unraisable
    _install()
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt as interrupt:  # the database driver has a handler of its own while it works
        raise Stopped(signal.SIGINT) from interrupt
    finally:
        for timer in again:
            timer.cancel()
            timer.join()
        sys.unraisablehook = hook
        _restore()
