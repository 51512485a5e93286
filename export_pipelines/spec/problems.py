"""Problems: what is wrong in the spec files, each with the place to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

SpecPath = tuple[str | int, ...]
"""Keys and list positions from the top of a file down to a value."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True)
class Problem:
    """One mistake. `line` is 1-based, or 0 if the whole file is meant; `path` is dotted, or "" for the file.

    `export` names the export that the mistake is in, and is None for everything else.
    """

    file: str
    line: int
    path: str
    message: str
    export: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place} {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


def dotted(path: SpecPath) -> str:
    """The path as text, such as `exports.students.formats[1].title`; unusual keys are quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}"
        else:
            text += f"[{short(step)}]"
    return text.removeprefix(".")


def short(value: object) -> str:
    """The value as it is written in Python, cut to 60 characters; it has no line ends or control characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}…{text[0] if text[0] in chr(34) + chr(39) else ''}"


def hides_secret(value: object) -> bool:
    """Whether the value may hold a secret wherever it stands: the URL of a service is one in itself."""
    return isinstance(value, str) and "://" in value


def one_line(text: str) -> str:
    """The text with line ends and control characters made visible, so that a problem is one line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def advice(word: str, known: Iterable[str], *, others: str = "") -> str:
    """Which of the known names was meant: the nearest one, or all of them. `others` is said where there are none."""
    names = list(known)
    begun = [
        name for name in names if len(name) > 2 and word.lower().startswith(name)
    ]  # `saturday`, where `sat` is known
    near = get_close_matches(word, names, n=1) or begun
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(names)}" if names else others
