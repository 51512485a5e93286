"""Every way in which a request of publishing can fail, at every request: what is left, and what the next run makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from export_pipelines.errors import ExportError, StorageError, StorageUnavailableError
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.contracts.s3_faults import LARGE, when
from export_pipelines_tests.contracts.store_publishing import MANIFEST, Job
from export_pipelines_tests.s3_servers import ACCESS_KEY, SECRET_KEY, Action, Request, S3Server, s3_proxy

PLACES = {
    "journal": r"^PUT .*/\.staging/",
    "data": r"^PUT .*first\.csv",
    "begin": r"^POST .*uploads",
    "part": r"^PUT .*partNumber=2",
    "complete": r"^POST .*uploadId",
    "head": r"^HEAD ",
    "manifest": r"^PUT .*metadata",
}
FAULTS = {
    "500": Action(answer=(500, "InternalError")),
    "503": Action(answer=(503, "SlowDown")),
    "stall": Action(stall=True),
    "cut": Action(cut_body_at=0),
    "cut-answer": Action(lose_answer=True),
    "403": Action(answer=(403, "AccessDenied")),
    "412": Action(answer=(412, "PreconditionFailed")),
}
_REFUSALS = ("403", "412")
ALWAYS = 1_000_000


@dataclass(frozen=True)
class Case:
    """One fault at one place: the first time, or always."""

    place: str
    fault: str
    times: int

    def __str__(self) -> str:
        return f"{self.fault}-at-{self.place}-{'always' if self.times == ALWAYS else 'once'}"


@dataclass
class Seen:
    """How often the fault hit, and what is wrong."""

    hits: int = 0
    wrong: list[str] = field(default_factory=list)


def cases() -> Iterator[Case]:
    """Every combination."""
    for place, fault, times in itertools.product(PLACES, FAULTS, (1, ALWAYS)):
        yield Case(place, fault, times)


def run(case: Case, server: S3Server, state: Path) -> Seen:
    """Publish through a proxy that misbehaves, look at the bucket, and let the next run publish without it."""
    seen, bucket = Seen(), server.new_bucket()
    with s3_proxy(server) as proxy:
        store = S3Store("lake", proxy.server.spec(bucket, timeout_seconds=1), proxy.server.settings(state))
        rule = when(PLACES[case.place], FAULTS[case.fault], times=case.times)

        def counting(request: Request) -> Action | None:
            action = rule(request)
            seen.hits += action is not None
            return action

        proxy.rule = counting
        first = Job("first", LARGE, run="run-1")
        error = _publish(first, store)
        seen.wrong += [] if seen.hits else ["the fault hit nothing"]
        seen.wrong += _wrong_ending(case, error)
        published = error is None or _published_unheard(case, server, bucket, first)
        seen.wrong += _differences(server, bucket, [first] if published else [], leftovers=True)
        proxy.rule = lambda request: None
        following = Job("second", LARGE, run="run-2")
        store.sweep(following.scope)
        error_again = _publish(following, store)
        seen.wrong += [f"the next run: {error_again}"] if error_again else []
        jobs = [first, following] if published else [following]
        seen.wrong += _differences(server, bucket, jobs, leftovers=False)
    return seen


def _publish(job: Job, store: S3Store) -> ExportError | None:
    """As every caller does: a failure discards the staging, and that may fail as well."""
    staging, entries = job.stage(store)
    try:
        store.publish(staging, job.placement, entries, manifest=MANIFEST)
    except ExportError as error:
        with suppress(ExportError):
            store.discard(staging)
        return error
    return None


def _published_unheard(case: Case, server: S3Server, bucket: str, job: Job) -> bool:
    """Whether the manifest is there although nobody answered that it is: then all of the artifact must be there."""
    manifest = f"prod/{job.placement.manifest_path}"
    return case.fault == "cut-answer" and case.place == "manifest" and manifest in server.listing(bucket)


def _wrong_ending(case: Case, error: ExportError | None) -> list[str]:
    passing = case.fault not in _REFUSALS
    if error is None:  # boto3 tries three times; whatever passes by then is made good
        return [] if passing and case.times == 1 else ["published in spite of it"]
    if passing and case.times == 1:
        return [f"not made good: {error}"]
    expected = StorageUnavailableError if passing else StorageError
    told = str(error)
    wrong = [] if isinstance(error, expected) else [f"{type(error).__name__}: {told}"]
    wrong += [] if "s3://" in told and "/prod/" in told else [f"does not say where: {told}"]
    return wrong + [f"tells a secret: {told}" for secret in (ACCESS_KEY, SECRET_KEY) if secret in told]


def _differences(server: S3Server, bucket: str, jobs: list[Job], *, leftovers: bool) -> list[str]:
    """What a reader of the service itself finds besides these artifacts.

    With `leftovers`, files without a manifest, open uploads and journals may be there: the next run deletes them.
    """
    contents = {f"prod/{path}": data for job in jobs for path, data in job.contents.items()}
    listed = set(server.listing(bucket))
    wrong = [f"missing: {name}" for name in sorted(contents.keys() - listed)]
    for name in sorted(listed & contents.keys()):
        if server.client.get_object(Bucket=bucket, Key=name)["Body"].read() != contents[name]:
            wrong.append(f"other bytes: {name}")
    more = sorted(listed - contents.keys())
    return wrong + [f"left over: {name}" for name in more if not leftovers or name.endswith("metadata.json")]
