"""A thread that repeats something in equal intervals while a block runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from export_pipelines.errors import TransientError

_log = logging.getLogger(__name__)


@contextmanager
def beating(beat: Callable[[], bool], *, seconds: float, what: str) -> Iterator[None]:
    """Call `beat` every so many seconds until the block ends, or until it returns False.

    A TransientError is logged as trouble with `what`, and the next beat may succeed.
    """
    ended = threading.Event()

    def _run() -> None:
        while not ended.wait(seconds):
            try:
                if not beat():
                    return
            except TransientError as error:
                _log.warning("%s: %s", what, error)

    thread = threading.Thread(target=_run, name=what, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
