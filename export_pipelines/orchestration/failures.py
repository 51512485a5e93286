"""What an error means to Dagster: retried or not, and what people read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from export_pipelines.errors import ConditionSkip, ExportError, TransientError
from export_pipelines.spec.exports import Retries


def retry_policy(retries: Retries) -> dg.RetryPolicy:
    """Retries with pauses that double, and up to a fifth more or less so that many exports do not return at once."""
    return dg.RetryPolicy(
        max_retries=retries.max_retries,
        delay=retries.delay_seconds,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS,
    )


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Let transient errors reach the retry policy; end the step at once on every other one.

    Dagster would retry any exception, and bad SQL does not get better. This is the boundary between our errors and
    Dagster's, hence the broad except.
    """
    try:
        yield
    except (TransientError, ConditionSkip, dg.Failure):
        raise
    except ExportError as error:
        raise dg.Failure(
            str(error), metadata={"what to do": error.hint or "See the message"}, allow_retries=False
        ) from error
    except Exception as error:
        raise dg.Failure(f"unexpected {type(error).__name__}: {error}", allow_retries=False) from error
