"""Countries and regions whose holidays are known."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from export_pipelines.spec.problems import advice


def check_country(country: str, subdivision: str | None) -> tuple[str, str] | None:
    """What is wrong with the country or subdivision, as the key and a message, or None."""
    if _is_listed(country, subdivision):
        return None
    import holidays
    from holidays.registry import COUNTRIES

    if country not in {code for _, *codes in COUNTRIES.values() for code in codes}:
        return "country", f"unknown country {country!r}; use an ISO 3166 code such as DE"
    try:
        holidays.country_holidays(country, subdiv=subdivision)
    except NotImplementedError:
        hint = advice(str(subdivision), holidays.country_holidays(country).subdivisions, others=f"{country} has none")
        return "subdivision", f"unknown subdivision {subdivision!r}; {hint}"
    return None


def _is_listed(country: str, subdivision: str | None) -> bool:
    """Whether the sources of `holidays` list both: quick, because importing it takes half a second.

    A "no" means nothing; the library itself then decides.
    """
    package = find_spec("holidays")
    if package is None or not package.submodule_search_locations:
        return False
    folder = Path(package.submodule_search_locations[0])
    try:
        row = re.search(rf'"(\w+)": \("\w+", "{re.escape(country)}"', (folder / "registry.py").read_text("utf-8"))
        if row is None or subdivision is None:
            return row is not None
        source = (folder / "countries" / f"{row[1]}.py").read_text("utf-8")
    except OSError:
        return False
    block = re.search(r"^    subdivisions(?:: [^=]+)? = \((.*?)^    \)", source, re.DOTALL | re.MULTILINE)
    return block is not None and f'"{subdivision}",' in re.sub(r"#.*", "", block[1])
