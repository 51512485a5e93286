"""When a run publishes nothing on purpose: `on_empty` and `only_if`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export_pipelines.errors import ConditionSkip, EmptyExportError, OnEmptySkip
from export_pipelines.ledger import artifacts

if TYPE_CHECKING:
    from export_pipelines.opening import OpenExport, Request


def check_rows(opened: OpenExport) -> None:
    """Go on if the datasets may be published, with rows or without. Where it matters, the first rows are read.

    Raises OnEmptySkip, ConditionSkip, EmptyExportError.
    """
    spec = opened.request.export.spec
    if spec.on_empty == "write" and spec.only_if not in ("rows", "no_rows"):
        return
    what = _what(opened.request)
    if any(stream.peek() for stream in opened.streams.values()):
        if spec.only_if == "no_rows":
            raise ConditionSkip(what, reason="there are rows, and `only_if` is no_rows")
        return
    if spec.on_empty == "skip":
        raise OnEmptySkip(what, reason="no rows, and `on_empty` is skip")
    if spec.only_if == "rows":
        raise ConditionSkip(what, reason="no rows, and `only_if` is rows")
    if spec.on_empty == "fail":
        hint = "Check that the data has arrived; `on_empty: write` publishes empty files instead"
        raise EmptyExportError(f"{what}: no rows", hint=hint)


def decides_late(request: Request) -> bool:
    """Whether only all rows tell if something is published. Part of the rows (`row_limit`) is compared with nothing."""
    return request.export.spec.only_if == "changed" and request.row_limit is None


def check_changed(opened: OpenExport, content_sha256: str) -> None:
    """Go on if this content differs from the last one that was published, in this partition or the latest before it.

    That is the last good, complete artifact; its files may have been deleted since. Called under the lease. Raises
    ConditionSkip.
    """
    request = opened.request
    combined = request.last_partition is not None
    last = artifacts.last_good(
        opened.services.ledger, request.export.name, before=request.window.end, combined=combined
    )
    if last is None or last.manifest.spec_sha256 != request.export.spec_sha256:
        return
    if last.manifest.content_sha256 == content_sha256:
        which = f"artifact {last.manifest.artifact_id[:8]} of {last.manifest.span}"
        raise ConditionSkip(_what(request), reason=f"the same content as {which}, and `only_if` is changed")


def _what(request: Request) -> str:
    return f"export {request.export.name}, partition {request.span}"
