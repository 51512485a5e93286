"""The sender: takes messages out of the outbox until it is empty.

One process at a time does this, whoever gets the lease. A message is committed before it is sent for the first time and
marked afterwards, so that a sender that is killed in between repeats at most that one, under the same Message-ID.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from export_pipelines.errors import ConfigurationError, LeaseHeldError, RecipientRefusedError, TransientError
from export_pipelines.ledger import pulses
from export_pipelines.ledger.leases import Lease, acquire
from export_pipelines.ledger.ledger import LedgerUnavailableError
from export_pipelines.notify import digests, dispatch, outbox
from export_pipelines.notify.message import Event, Letter, Message, Sender
from export_pipelines.notify.routing import policy, recipient
from export_pipelines.project import Project
from export_pipelines.registry import SENDERS, resolve
from export_pipelines.spec.recipients import RecipientSpec

_log = logging.getLogger(__name__)
_LEASE = ("-", "notifications")  # no export can have this name
_LEASE_SECONDS = 60
_PAGE = 100
_FIRST_PAUSE_SECONDS = 15
_LONGEST_PAUSE_SECONDS = 300
_GIVE_UP = timedelta(days=7)


@dataclass
class Drained:
    """What one pass did. `waiting` messages could not be sent and are tried again later."""

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    busy: bool = False
    """Whether another sender is at work, so that this one did nothing."""


def drain(project: Project, *, seconds: float, stopped: Callable[[], bool] = lambda: False) -> Drained:
    """Route new events and send what is due, for about so many seconds. Raises LedgerUnavailableError."""
    try:
        lease = acquire(project.ledger, *_LEASE, ttl_seconds=_LEASE_SECONDS, wait_seconds=0)
    except LeaseHeldError:
        return Drained(busy=True)
    deadline = time.monotonic() + seconds
    with lease, _Pass(project, lease) as work:
        now = datetime.now(UTC)
        digests.record_due(project, now)
        dispatch.escalate_old(project, now)
        dispatch.dispatch(project, now)
        while not stopped() and time.monotonic() < deadline and work.send_page(deadline, stopped):
            pass
        pulses.put(project.ledger, now, **{pulses.SENDER: float(work.done.sent)})
        return work.done


def send_test(project: Project, name: str, now: datetime) -> str:
    """Send a test message to the recipient at once, past the outbox; return what was answered.

    Raises RecipientUnavailableError, RecipientRefusedError, ConfigurationError.
    """
    from export_pipelines.notify.compose import compose

    spec = recipient(project.specs, name)
    event = Event(0, "test", "test", "success", None, None, None, now)
    message = Message(dispatch.new_id(project), name, now, 0, [event])
    letter = compose(message, project, include_file_details=False, include_statistics=False)
    with _made(project, spec) as sender:
        return sender.send(letter, spec)


def _made(project: Project, spec: RecipientSpec | None) -> Sender:
    made: Sender = resolve("recipient", SENDERS, spec.type if spec else "")(project.settings)
    return made


@dataclass
class _Pass:
    """One pass over the outbox, with the connections that it opened."""

    project: Project
    lease: Lease
    done: Drained = field(default_factory=Drained)

    def __post_init__(self) -> None:
        self._stack = ExitStack()
        self._senders: dict[str, Sender] = {}
        self._down: set[str] = set()
        self._skipped: set[str] = set()

    def __enter__(self) -> _Pass:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def send_page(self, deadline: float, stopped: Callable[[], bool]) -> bool:
        """Send the next messages; whether any was tried."""
        found = outbox.pending(self.project.ledger, datetime.now(UTC), limit=_PAGE + len(self._skipped))
        page = [message for message in found if message.message_id not in self._skipped]
        for message in page:
            if stopped() or time.monotonic() > deadline:
                return False
            self.lease.check()
            self._send(message)
        return bool(page)

    def _send(self, message: Message) -> None:
        """Send one message and record how it went; a route that was seen to be down is not tried again.

        The boundary between messages, hence the broad except: one that cannot be written never stops the others.
        """
        now = datetime.now(UTC)
        try:
            answer = self._try(message)
        except RecipientRefusedError as error:
            self._give_up(message, str(error), now)
        except LedgerUnavailableError:
            raise
        except (TransientError, ConfigurationError) as error:
            self._postpone(message, str(error), now)
        except Exception as error:  # noqa: BLE001
            _log.exception("writing message %s", message.message_id)
            self._postpone(message, f"unexpected {type(error).__name__}", now)
        else:
            if answer is None:
                self._skipped.add(message.message_id)
                self.done.waiting += 1
            else:
                outbox.finish(self.project.ledger, message, "sent", now=now, note=answer or None)
                self.done.sent += 1
                if message.attempts:  # it was not reached before
                    outbox.hasten(self.project.ledger, message.recipient, now=now)

    def _try(self, message: Message) -> str | None:
        """What the server answered, or None if the way there is down."""
        spec = recipient(self.project.specs, message.recipient)
        if spec is None:
            raise RecipientRefusedError(f"there is no recipient {message.recipient!r}", hint="Define it in the specs")
        sender = self._sender(spec)
        route = sender.route(spec)
        if route in self._down:
            return None
        letter = self._letter(message)
        try:
            return sender.send(letter, spec)
        except (TransientError, ConfigurationError):
            self._down.add(route)
            raise

    def _letter(self, message: Message) -> Letter:
        from export_pipelines.notify.compose import compose  # templates are read when there is something to say

        rules = policy(self.project.specs, message.events[-1].export)
        details, statistics = rules.include_file_details, rules.include_statistics
        return compose(message, self.project, include_file_details=details, include_statistics=statistics)

    def _sender(self, spec: RecipientSpec) -> Sender:
        if spec.type not in self._senders:
            self._senders[spec.type] = self._stack.enter_context(_made(self.project, spec))
        return self._senders[spec.type]

    def _postpone(self, message: Message, error: str, now: datetime) -> None:
        if now - message.created_at > _GIVE_UP:
            self._give_up(message, f"given up after 7 days: {error}", now)
            return
        pause = min(_FIRST_PAUSE_SECONDS * 2.0**message.attempts, _LONGEST_PAUSE_SECONDS) * random.uniform(0.8, 1)  # noqa: S311
        outbox.postpone(self.project.ledger, message, error, until=now + timedelta(seconds=pause))
        self.done.waiting += 1
        _log.warning("notifying %s: %s", message.recipient, error)

    def _give_up(self, message: Message, error: str, now: datetime) -> None:
        outbox.finish(self.project.ledger, message, "failed", now=now, note=error)
        self.done.failed += 1
        _log.error("notifying %s: %s", message.recipient, error)
