"""A limit to how much is deleted at once: a wrong clock or a slip in a policy must not empty a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from export_pipelines.text import counted

_ADVICE = "Look at the list: exports retention. If it is right, raise max_delete_percent in the policy"


@dataclass(frozen=True)
class Refusal:
    """Why the deletions of an export, or of all exports (None), are not made."""

    export: str | None
    message: str


def refusals(present: Mapping[str, int], going: Mapping[str, int], percent: Mapping[str, float]) -> list[Refusal]:
    """What is refused, of artifacts per export, those that would go, and the percentage that may.

    A single artifact may always go: of two or three it is half or a third. All exports together, those left out that
    are refused by themselves, may lose what each of them may without this exception.
    """
    found: list[Refusal] = []
    for export, number in sorted(going.items()):
        if number > 1 and number * 100 > percent[export] * present[export]:
            what = _what(number, present[export], f"of {export}")
            found.append(Refusal(export, f"{what}, more than {percent[export]:g} %. {_ADVICE}"))
    left = sum(going.values()) - sum(going[refusal.export] for refusal in found if refusal.export)
    allowed = sum(percent[export] * present[export] for export in percent) / 100
    if left > 1 and left > allowed:
        what = _what(left, sum(present.values()), "of all exports")
        found.append(Refusal(None, f"{what}, more than the {allowed:,.1f} that their policies allow. {_ADVICE}"))
    return found


def _what(number: int, of: int, where: str) -> str:
    return f"{number:,} of {counted(of, 'artifact')} {where} would be deleted at once, {100 * number / of:.0f} %"
