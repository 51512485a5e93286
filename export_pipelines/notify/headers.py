"""Text that is safe on one line: in a header, in a title, in an error."""

from __future__ import annotations

import re

LONGEST = 200
"""Characters of a line, at most."""

_INVISIBLE = re.compile(  # not the joiners U+200C and U+200D, which some scripts need
    "[\x00-\x20\x7f-\xa0\u00ad\u061c\u180e\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff0-\ufffb\U000e0000-\U000e0fff]+"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def one_line(text: str, *, longest: int = LONGEST) -> str:
    """The text on one line that no mail program reads as anything else.

    Control characters, line separators, marks that turn the direction of writing, and every kind of space become single
    spaces. `=?` is broken up: what looks like an encoded word would be decoded by whoever writes or reads the header,
    and could hold a line break and a further header. More than `longest` characters are cut after a word.
    """
    line = _INVISIBLE.sub(" ", _SURROGATE.sub("\ufffd", text)).strip()
    return cut(line.replace("=?", "= ?"), longest)


def cut(line: str, longest: int) -> str:
    """The line, or what fits of it: cut after a word, with an ellipsis that counts."""
    if len(line) <= longest:
        return line
    start, space, _ = line[:longest].rpartition(" ")
    return (start if space and len(start) > longest // 2 else line[: longest - 1]).rstrip() + "…"
