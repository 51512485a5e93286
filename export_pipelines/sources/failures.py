"""Exceptions of database libraries -> errors of ours, without the URL or the password in any of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import unquote

import pyarrow as pa

from export_pipelines.errors import ColumnTypeError, ConfigurationError, ExportError, QueryError, SourceUnavailableError

Result = TypeVar("Result")
Translate = Callable[[BaseException, str], ExportError]
"""Makes our error of a library's; the second argument is what we were doing."""

UNAVAILABLE_STATES = ("08", "40001", "40P01", "53", "57P01", "57P02", "57P03", "57P05", "25P03", "58")
"""SQLSTATEs, or their first characters, after which the same statement may succeed later."""

_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba|does not exist|permission denied|not permitted"
)
_MALFORMED = re.compile(
    r"invalid (URI|integer|percent|port|connection|sslmode|value)|missing \"=\"|forbidden value|end of string"
)
_RETRY = "It is tried again; if it goes on, check the host, the port and the network"


class Secrets:
    """Knows a URL and removes it, its password and their parts from texts and exceptions."""

    def __init__(self, url: str) -> None:
        match = re.search(r"://[^:@/]*:(.*)@", url)
        password = match[1] if match else ""
        given = re.findall(r"[?&](?:password|sslpassword|passwd|pwd|token|secret)=([^&]*)", url)
        whole = {password, unquote(password), *given, *map(unquote, given)}
        # A password with an unescaped @, / or ? ends up, in part, in what a library takes for the host or the port.
        parts = {part for text in whole for part in re.split(r"[@/?#:&]", text)}
        # Texts of one or two letters would blot out ordinary words. A URL without password is no secret.
        hidden = {text for text in whole | parts if len(text) > 2} | ({url} if any(whole) else set())
        self._texts = sorted(hidden, key=len, reverse=True)

    def remove(self, text: str) -> str:
        """The text with `***` for every secret."""
        for secret in self._texts:
            text = text.replace(secret, "***")
        return text

    def clean(self, error: BaseException | None) -> None:
        """Remove the secrets from the exception's arguments, and from those of the exceptions behind it."""
        for link in _chain(error):
            link.args = tuple(self.remove(arg) if isinstance(arg, str) else arg for arg in link.args)


class Guard:
    """The boundary to one database library: turns its exceptions into errors of ours, without secrets."""

    def __init__(self, url: str, *, errors: tuple[type[Exception], ...], translate: Translate) -> None:
        """`errors` are the library's exceptions, `translate` makes our error of one."""
        self._secrets = Secrets(url)
        self._errors = errors
        self._translate = translate

    def call(self, doing: str, call: Callable[[], Result]) -> Result:
        """The call's result. `doing` begins every error and reads like "connection 'school', dataset 'grades'".

        Raises our error, caused by the library's, where the library fails.
        """
        cause: BaseException | None
        try:
            return call()
        except ExportError as error:
            failure, cause = type(error)(f"{doing}: {error}"), error.__cause__
            failure.hint = error.hint
        except pa.ArrowException as error:
            failure, cause = _unreadable(error, doing), error
        except self._errors as error:
            failure, cause = self._translate(error, doing), error
        self._secrets.clean(failure)
        self._secrets.clean(cause)
        raise failure from cause

    def batches(self, doing: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, each of them read in a `call`."""
        while (batch := self.call(doing, lambda: next(batches, None))) is not None:
            yield batch


def _unreadable(error: pa.ArrowException, doing: str) -> ExportError:
    return ColumnTypeError(
        f"{doing}: a column cannot be read: {one_line(error)}", hint="Cast it to text or a number in the SQL"
    )


def by_sqlstate(state: str, message: str, doing: str) -> ExportError:
    """The error for what a PostgreSQL server said, by its SQLSTATE (empty where there is none)."""
    if state.startswith(UNAVAILABLE_STATES):
        return SourceUnavailableError(f"{doing}: {message}", hint=_RETRY)
    if state == "57014":
        return QueryError(f"{doing}: {message}", hint="Raise statement_timeout_seconds or make the query faster")
    if state == "25006":
        return QueryError(f"{doing}: {message}", hint="Exports only read; write a SELECT")
    return QueryError(f"{doing}: {message}", hint="Run the SQL in the database's own client to see more")


def connection_failure(message: str, doing: str) -> ExportError:
    """The error for a connection that was not made or broke off, by the text of libpq, which gives no SQLSTATE."""
    if _MALFORMED.search(message):
        return ConfigurationError(
            f"{doing}: {message}", hint="Check the connection's url; escape @ : / ? # in passwords"
        )
    if _REFUSED.search(message):
        return QueryError(f"{doing}: {message}", hint="Check user, password, database and permissions")
    return SourceUnavailableError(f"{doing}: {message}", hint=_RETRY)


def one_line(error: object) -> str:
    """The error's text on one line."""
    return " ".join(str(error).split())


def _chain(error: BaseException | None) -> Iterator[Any]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and not any(link is known for known in seen):
            seen.append(link)
            waiting += [link.__cause__, link.__context__, getattr(link, "orig", None)]
            yield link
