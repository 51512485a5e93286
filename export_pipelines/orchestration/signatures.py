"""One signature for the functions of all assets that come from the same lines of code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_KNOWN: dict[CodeType, inspect.Signature] = {}


def with_known_signature(function: Function) -> Function:
    """The function, whose signature need not be found out again.

    Dagster asks for signature and type hints of each asset's function more than twenty times. With a thousand exports
    that is a fifth of what building their assets takes. To be used below `dg.asset`.
    """
    code = function.__code__
    if code not in _KNOWN:
        _KNOWN[code] = inspect.signature(function)
    function.__dict__["__signature__"] = _KNOWN[code]
    return function
