"""Rules of misbehaviour for the proxy, and what an error must not tell."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable

import pytest

from export_pipelines.errors import ExportError
from export_pipelines_tests.contracts.store_publishing import large
from export_pipelines_tests.s3_servers import ACCESS_KEY, SECRET_KEY, Action, Request

LARGE = {"first.csv": b"1", "large.bin": large(5 * 2**20 + 70_000)}
"""A file of one request and one of two parts."""


def when(pattern: str, action: Action, *, times: int = 1_000_000) -> Callable[[Request], Action | None]:
    """A rule for the first `times` requests whose line matches."""
    left = [times]

    def rule(request: Request) -> Action | None:
        if re.search(pattern, request.line) and left[0]:
            left[0] -= 1
            return action
        return None

    return rule


def failure(expected: type[ExportError], act: Callable[[], object]) -> str:
    """The message of the error that `act` must raise; neither it nor its causes may tell a secret."""
    with pytest.raises(expected) as caught:
        act()
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET_KEY not in told
    assert ACCESS_KEY not in told
    return str(caught.value)
