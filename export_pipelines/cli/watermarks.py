"""How far an export with watermarks got, for `exports show`, and what one artifact holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export_pipelines.ledger.ledger import Ledger
    from export_pipelines.spec.resolved import ResolvedExport
    from export_pipelines.storage.manifest import Watermark


def watermarks(found: Mapping[str, Watermark]) -> list[dict[str, Any]]:
    """What an artifact holds of each dataset with a watermark."""
    return [{"dataset": dataset, **mark.model_dump()} for dataset, mark in found.items()]


def current(ledger: Ledger, export: ResolvedExport) -> list[dict[str, Any]]:
    """The mark of each dataset with a watermark, and the partition that set it; null where none did."""
    from export_pipelines.ledger import watermarks as marks

    wanted = {name: dataset.watermark for name, dataset in export.spec.datasets.items() if dataset.watermark}
    if not wanted:
        return []
    found = marks.current(ledger, export.name, wanted)
    entries = []
    for name, spec in wanted.items():
        mark = found.get(name)
        known = (
            mark.watermark.model_dump() if mark else {"column": spec.column, "type": None, "after": None, "up_to": None}
        )
        by = {"partition": mark.partition if mark else None, "artifact_id": mark.artifact_id if mark else None}
        entries.append({"dataset": name, **known, **by})
    return entries


def show(entries: Sequence[dict[str, Any]]) -> None:
    """Print the marks of `current`."""
    from export_pipelines.cli.output import console, grid

    if not entries:
        return
    out, facts = console(), grid()
    for entry in entries:
        facts.add_row(entry["dataset"], _position(entry))
    out.print("\nExported so far", style="bold")
    out.print(facts)


def _position(entry: dict[str, Any]) -> str:
    if entry["partition"] is None:
        return "nothing"
    reached = f"{entry['column']} up to {entry['up_to']}" if entry["up_to"] is not None else "no rows"
    return f"{reached}, by partition {entry['partition']}"


def line(entry: dict[str, Any]) -> str:
    """What an artifact holds of one dataset: `payments: id above 10, up to 20`."""
    above = "from the first row" if entry["after"] is None else f"above {entry['after']}"
    end = "no rows" if entry["up_to"] == entry["after"] else f"up to {entry['up_to']}"
    return f"{entry['dataset']}: {entry['column']} {above}, {end}"
