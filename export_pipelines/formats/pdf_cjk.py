"""The font for Chinese, Japanese and Korean text, embedded with only the characters that a document uses.

ReportLab embeds TrueType outlines only, but the good CJK fonts that install from PyPI have CFF outlines. PDF has had
a place for those since version 1.3 (a Type0 font over a CIDFontType0C program), which is what this module writes.
The codes in the page content are the font's own character ids, so pages can be written before the subset is known.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from noto_cjk_sans_jp_regular import FONT_PATH
from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFDocument, PDFName, PDFStream, PDFString, PDFZCompress

NAME = "CJK"  # of the font in the page's resources
_BASE = "CJKSUB+NotoSansCJKjp-Regular"
_EM = 1000  # units of the font, which are also those of widths in PDF
_BFCHAR_LIMIT = 100  # mappings in one section of a ToUnicode map, by the format's definition


class CjkFont:
    """Noto Sans CJK in one document; the 16 MB font file is opened when the first such character is met."""

    def __init__(self) -> None:
        self._used: dict[int, int] = {}  # character id -> code point

    def covers(self, code: int) -> bool:
        """Whether the font has a glyph for the code point."""
        return code in _source().cmap

    def width(self, code: int) -> float:
        """The advance width of a covered code point, in thousandths of an em."""
        return _source().width(_source().cmap[code])

    def show(self, text: str) -> str:
        """The operand and operator that show `text`, every character of which is covered."""
        ids = []
        for code in map(ord, text):
            cid = _source().cmap[code]
            self._used.setdefault(cid, code)
            ids.append(f"{cid:04x}")
        return f"<{''.join(ids)}> Tj"

    def add_objects(self, document: PDFDocument) -> None:
        """Embed the used characters in `document`; nothing if there were none."""
        if not self._used:
            return
        program = _stream(_source().subset(sorted(self._used)), Subtype=PDFName("CIDFontType0C"))
        descriptor = {
            "Type": "/FontDescriptor", "FontName": PDFName(_BASE), "Flags": 4, "ItalicAngle": 0, "StemV": 80,
            "FontBBox": PDFArray(_source().box), "Ascent": 880, "Descent": -120, "CapHeight": 733,
            "FontFile3": document.Reference(program),
        }  # fmt: skip
        collection = {"Registry": PDFString("Adobe"), "Ordering": PDFString("Identity"), "Supplement": 0}
        widths = [item for cid in sorted(self._used) for item in (cid, PDFArray([_source().width(cid)]))]
        cid_font = {
            "Type": "/Font", "Subtype": "/CIDFontType0", "BaseFont": PDFName(_BASE), "DW": _EM, "W": PDFArray(widths),
            "CIDSystemInfo": PDFDictionary(collection), "FontDescriptor": document.Reference(PDFDictionary(descriptor)),
        }  # fmt: skip
        font = {
            "Type": "/Font", "Subtype": "/Type0", "BaseFont": PDFName(_BASE), "Encoding": "/Identity-H",
            "DescendantFonts": PDFArray([document.Reference(PDFDictionary(cid_font))]),
            "ToUnicode": document.Reference(_stream(_to_unicode(self._used))),
        }  # fmt: skip
        document.idToObject["BasicFonts"].dict[NAME] = document.Reference(PDFDictionary(font))


class _Source:
    def __init__(self) -> None:
        # fontTools takes a third of a second to import and most documents have no CJK text.
        from fontTools.ttLib import TTFont

        # All is read at once: a lazily read file could not be shared by threads.
        with TTFont(str(FONT_PATH), lazy=True) as font:
            names: dict[int, str] = font.getBestCmap()
            self.cmap = {code: int(name[3:]) for code, name in names.items() if name.startswith("cid")}
            metrics: dict[str, tuple[int, int]] = font["hmtx"].metrics
            # Nearly all characters are square; only the others' widths are kept.
            self._widths = {
                int(name[3:]): wide for name, (wide, _) in metrics.items() if name[0] == "c" and wide != _EM
            }
            head: Any = font["head"]
            self.box = [head.xMin, head.yMin, head.xMax, head.yMax]

    def width(self, cid: int) -> int:
        return self._widths.get(cid, _EM)

    def subset(self, cids: list[int]) -> bytes:
        from fontTools.subset import Options, Subsetter
        from fontTools.ttLib import TTFont

        font: Any = TTFont(str(FONT_PATH), lazy=True)
        keep = {"CFF ", "head", "maxp", "hhea", "hmtx"}
        options: Any = Options(hinting=False, desubroutinize=True, notdef_outline=True, glyph_names=True)
        options.drop_tables = [tag for tag in font.keys() if tag not in keep]  # noqa: SIM118 - iterating is not supported
        subsetter = Subsetter(options)
        subsetter.populate(glyphs=[f"cid{cid:05d}" for cid in cids])
        subsetter.subset(font)
        return bytes(font["CFF "].compile(font))


@cache
def _source() -> _Source:
    return _Source()


def _stream(content: bytes, **entries: Any) -> PDFStream:
    return PDFStream(dictionary=PDFDictionary(entries), content=content, filters=[PDFZCompress])


def _to_unicode(used: dict[int, int]) -> bytes:
    pairs = [f"<{cid:04x}> <{chr(code).encode('utf-16-be').hex()}>" for cid, code in sorted(used.items())]
    sections = [pairs[i : i + _BFCHAR_LIMIT] for i in range(0, len(pairs), _BFCHAR_LIMIT)]
    body = "\n".join(f"{len(s)} beginbfchar\n" + "\n".join(s) + "\nendbfchar" for s in sections)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n"
        f"{body}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode("ascii")
