"""A limit on how long one call into a database may take, for libraries that can be interrupted from a second thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from export_pipelines.errors import QueryError

Result = TypeVar("Result")


def limited(
    call: Callable[[], Result], seconds: float, *, interrupt: Callable[[], object], errors: tuple[type[Exception], ...]
) -> Result:
    """The call's result; after `seconds`, `interrupt` is called, which makes the call raise one of `errors`.

    Raises QueryError if that happens, and whatever else the call raises.
    """
    finished, lock = False, threading.Lock()
    expired = threading.Event()

    def expire() -> None:
        with lock:
            if not finished:
                expired.set()
                interrupt()

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), expire)
    timer.daemon = True
    timer.start()
    try:
        return call()
    except errors as error:
        if not expired.is_set():
            raise
        raise QueryError(
            f"a statement was ended after {seconds:g} s",
            hint="Raise statement_timeout_seconds or make the query faster",
        ) from error
    finally:
        with lock:
            finished = True
        timer.cancel()
