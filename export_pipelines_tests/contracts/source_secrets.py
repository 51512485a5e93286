"""Looking for a password in everything that an exception shows."""

from __future__ import annotations

import traceback
from urllib.parse import quote

from export_pipelines.errors import ExportError

CANARY = "canary-pässword/with@signs"


def shown(error: BaseException) -> str:
    """All that a log, a debugger or an error tracker would print of the exception and of those behind it."""
    links: list[BaseException | None] = [error]
    texts = ["".join(traceback.format_exception(error))]
    while links:
        link = links.pop()
        if link is not None:
            texts += [str(link), repr(link), repr(link.args), repr(getattr(link, "details", ""))]
            links += [link.__cause__, link.__context__, getattr(link, "orig", None)]
    return "\n".join(texts)


def assert_without_secret(error: ExportError, password: str = CANARY) -> None:
    """Neither the password nor a half of it is shown."""
    text = shown(error)
    for secret in {password, quote(password, safe=""), quote(password), *password.split("@"), *password.split("/")}:
        assert secret not in text
