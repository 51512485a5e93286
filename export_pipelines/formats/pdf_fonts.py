"""Text in fonts: which font has a character, how wide it is, and the operators that show it.

Latin, Greek and Cyrillic are set in Roboto, Chinese, Japanese, Korean and many symbols in Noto Sans CJK; both are
embedded. A character that neither has (Hebrew, Arabic, Thai, emoji, …) and every control character is shown as the
replacement character, never dropped. Nothing in a text is markup.
"""

from __future__ import annotations

import codecs
import unicodedata
from itertools import groupby
from typing import Any

import font_roboto
import numpy as np
from reportlab.pdfbase.pdfdoc import PDFDocument
from reportlab.pdfbase.ttfonts import TTFont

from export_pipelines.formats import pdf_cjk
from export_pipelines.formats.pdf_cjk import CjkFont

REPLACEMENT = "\ufffd"
ASCENT = 0.93  # of the main font's tallest letters with accents, in em
_NEVER = 2**31  # a width that no column has; marks bytes that need the slow path
_OCTAL = {code: f"\\{code:03o}" for code in (*range(32), *range(127, 256))}
_ESCAPE = {**_OCTAL, ord("\\"): "\\\\", ord("("): "\\(", ord(")"): "\\)"}


class Typeface:
    """One weight of the main font in one document, falling back to the CJK font."""

    def __init__(self, weight: str, document: PDFDocument, cjk: CjkFont) -> None:
        # Loading takes 20 ms; a shared object would not be safe when two threads end their documents.
        self._font = TTFont(weight, font_roboto.font_files[weight], asciiReadable=True)
        self._document = document
        self._cjk = cjk
        self._font.splitString(" ", document)
        self.name = str(self._font.getSubsetInternalName(0, document))  # the first 256 characters, ASCII among them
        self._codes = {code: code for code in range(32, 127)}  # of the first subset: code point -> byte
        self._codes[0xA0] = 32  # the fonts have one glyph for both spaces
        self._known = _Known(self._font.face.charToGlyph, cjk)
        self._widths = _Widths(self._font.face.charWidths, cjk)
        self.units_per_em = int(self._font.face.unitsPerEm)

    def printable(self, text: str) -> str:
        """`text` as it can be drawn: composed, tabs as four spaces, one kind of line end, no unknown character."""
        if text.isascii() and text.isprintable():
            return text
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
        return unicodedata.normalize("NFC", text).translate(self._known)

    def measure(self, text: str) -> float:
        """The width of a printable text without line ends, in em."""
        return sum(map(self._widths.__getitem__, text)) / 1000

    def show(self, text: str, size: float) -> str:
        """The operators that show a printable text, given that this typeface is set; it is set again afterwards."""
        try:
            raw, _ = codecs.charmap_encode(text, "strict", self._codes)
        except UnicodeEncodeError:
            return self._show_runs(text, size)
        return f"({literal(raw)}) Tj"

    def ascii_widths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The width of each byte value in font units; huge for bytes that are not printable ASCII."""
        table = np.full(256, _NEVER, np.int64)
        for code in range(32, 127):
            table[code] = round(self._widths[chr(code)] * self.units_per_em / 1000)
        return table

    def _show_runs(self, text: str, size: float) -> str:
        parts = []
        for own, run in groupby(text, lambda char: ord(char) in self._font.face.charToGlyph):
            part = "".join(run)
            if own:
                for subset, raw in self._font.splitString(part, self._document):
                    parts.append((self._font.getSubsetInternalName(subset, self._document), f"({literal(raw)}) Tj"))
            else:
                parts.append((f"/{pdf_cjk.NAME}", self._cjk.show(part)))
        self._learn(text)
        operators, current = [], self.name
        for name, shown in [*parts, (self.name, "")]:
            operators.append(shown if name == current else f"{name} {size:.3f} Tf {shown}")
            current = name
        return " ".join(filter(None, operators))

    def _learn(self, text: str) -> None:
        assigned = self._font.state[self._document].assignments
        for code in map(ord, text):
            if assigned.get(code, 256) < 256:
                self._codes[code] = assigned[code]


def literal(raw: bytes) -> str:
    """`raw` as it stands between the parentheses of a PDF string."""
    return raw.decode("latin-1").translate(_ESCAPE)


class _Known(dict[int, int]):
    """For str.translate: a code point that a font has stays, any other becomes the replacement character."""

    def __init__(self, own: dict[int, int], cjk: CjkFont) -> None:
        super().__init__({ord("\n"): ord("\n")})
        self._own, self._cjk = own, cjk

    def __missing__(self, code: int) -> int:
        known = not _is_control(code) and (code in self._own or self._cjk.covers(code))
        self[code] = code if known else ord(REPLACEMENT)
        return self[code]


class _Widths(dict[str, float]):
    """Character -> advance width in thousandths of an em."""

    def __init__(self, own: dict[int, float], cjk: CjkFont) -> None:
        super().__init__()
        self._own, self._cjk = own, cjk

    def __missing__(self, char: str) -> float:
        code = ord(char)
        self[char] = self._own[code] if code in self._own else self._cjk.width(code)
        return self[char]


def _is_control(code: int) -> bool:
    return unicodedata.category(chr(code)) in {"Cc", "Zl", "Zp"}
