"""Slack, Teams, Discord and all else that the library Apprise speaks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from export_pipelines.errors import ConfigurationError, RecipientUnavailableError
from export_pipelines.notify.message import Letter
from export_pipelines.notify.redaction import unlogged
from export_pipelines.settings import Settings
from export_pipelines.spec.recipients import AppriseRecipient, Level

if TYPE_CHECKING:
    from apprise import Apprise

_TYPES: dict[Level, str] = {"success": "success", "failure": "failure", "warning": "warning"}
_TIMEOUT_SECONDS = 30
_CODE = re.compile(r"error=(\d{3})\b")


class AppriseSender:
    """Sends the letter's title and text to the service of an Apprise URL."""

    def __init__(self, settings: Settings) -> None:
        """Imports nothing yet."""
        self._settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing stays open."""

    def route(self, recipient: AppriseRecipient) -> str:
        """The reference to the URL: two URLs of one kind may lead to two servers."""
        return f"apprise {recipient.url}"

    def send(self, letter: Letter, recipient: AppriseRecipient) -> str:
        """Send the title and the text, cut where the service takes no more; return "".

        Raises ConfigurationError if Apprise does not know the URL or a secret is missing, RecipientUnavailableError if
        the service did not take the message. No error, and no log, holds the URL.
        """
        url = self._settings.resolve(recipient.url)
        with _private_log(), unlogged("urllib3.connectionpool"):
            service = _service(url)
            if service is None:
                raise ConfigurationError(
                    f"the value of {recipient.url} is not a URL that Apprise knows",
                    hint="Compare it with the service's page in Apprise's documentation",
                )
            result = service.notify(
                letter.text,
                letter.title,
                notify_type=_TYPES.get(letter.level, "info"),
                body_format="text",
                timeout=_TIMEOUT_SECONDS,
            )
        if not result:
            raise RecipientUnavailableError(
                f"the service behind {recipient.url} did not take the message{_code(result)}", hint="It is tried again"
            )
        return ""


def _service(url: str) -> Apprise | None:
    """Apprise with this URL, or None if it does not know it."""
    from apprise import Apprise, AppriseAsset, OverflowMode  # costs 0.3 s, and few projects have such a recipient

    service = Apprise(asset=AppriseAsset(app_id="export-pipelines", app_desc="export-pipelines", async_mode=False))
    if not service.add(url):
        return None
    if "overflow=" not in url:  # by default a service refuses what is too long for it
        for plugin in service:
            plugin.overflow_mode = OverflowMode.TRUNCATE
    return service


def _code(result: Any) -> str:
    """The HTTP status in what Apprise would have logged; the rest of it may hold the URL."""
    found = [match[1] for entry in result.logs() if (match := _CODE.search(entry.message))]
    return f": it answered {found[-1]}" if found else ""


@contextmanager
def _private_log() -> Iterator[None]:
    """Keep what Apprise logs to Apprise: it may hold the URL."""
    logger = logging.getLogger("apprise")
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before
