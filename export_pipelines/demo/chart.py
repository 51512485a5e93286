"""Chart of accounts, tax codes and journals of the demo ledger, in the manner of a German small company."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from export_pipelines.demo.table import Row, Scope, Table, decimal


class TaxCode(NamedTuple):
    """A tax: its rate in hundredths of a percent, and where it is posted; `counter` for reverse charge."""

    name: str
    rate: int
    account: str | None
    counter: str | None = None


TAX_CODES = {
    "S19": TaxCode("Umsatzsteuer 19 %", 1900, "1776"),
    "S07": TaxCode("Umsatzsteuer 7 %", 700, "1771"),
    "SEU": TaxCode("Steuerfreie innergemeinschaftliche Lieferung", 0, None),
    "SEX": TaxCode("Steuerfreie Ausfuhr", 0, None),
    "P19": TaxCode("Vorsteuer 19 %", 1900, "1576"),
    "P07": TaxCode("Vorsteuer 7 %", 700, "1571"),
    "R19": TaxCode("Reverse charge § 13b, 19 %", 1900, "1577", "1787"),
    "P00": TaxCode("Ohne Vorsteuer", 0, None),
}

ACCOUNTS = {
    "0027": ("EDV-Software", "asset"),
    "0420": ("Büroeinrichtung", "asset"),
    "0800": ("Gezeichnetes Kapital", "equity"),
    "1000": ("Kasse", "asset"),
    "1200": ("Bank", "asset"),
    "1360": ("Geldtransit", "asset"),
    "1400": ("Forderungen aus Lieferungen und Leistungen", "asset"),
    "1571": ("Abziehbare Vorsteuer 7 %", "asset"),
    "1576": ("Abziehbare Vorsteuer 19 %", "asset"),
    "1577": ("Abziehbare Vorsteuer § 13b, 19 %", "asset"),
    "1600": ("Verbindlichkeiten aus Lieferungen und Leistungen", "liability"),
    "1740": ("Verbindlichkeiten aus Lohn und Gehalt", "liability"),
    "1741": ("Verbindlichkeiten aus Lohn- und Kirchensteuer", "liability"),
    "1742": ("Verbindlichkeiten im Rahmen der sozialen Sicherheit", "liability"),
    "1771": ("Umsatzsteuer 7 %", "liability"),
    "1776": ("Umsatzsteuer 19 %", "liability"),
    "1787": ("Umsatzsteuer nach § 13b, 19 %", "liability"),
    "3125": ("Leistungen eines ausländischen Unternehmers, 19 %", "expense"),
    "3300": ("Wareneingang 7 % Vorsteuer", "expense"),
    "3400": ("Wareneingang 19 % Vorsteuer", "expense"),
    "4120": ("Gehälter", "expense"),
    "4130": ("Gesetzliche soziale Aufwendungen", "expense"),
    "4210": ("Miete (unbewegliche Wirtschaftsgüter)", "expense"),
    "4530": ("Laufende Kfz-Betriebskosten", "expense"),
    "4660": ("Reisekosten Arbeitnehmer", "expense"),
    "4910": ("Porto", "expense"),
    "4920": ("Telefon", "expense"),
    "4930": ("Bürobedarf", "expense"),
    "4970": ("Nebenkosten des Geldverkehrs", "expense"),
    "8120": ("Steuerfreie Umsätze § 4 Nr. 1a UStG", "revenue"),
    "8125": ("Steuerfreie innergemeinschaftliche Lieferungen", "revenue"),
    "8300": ("Erlöse 7 % USt", "revenue"),
    "8400": ("Erlöse 19 % USt", "revenue"),
}

JOURNALS = {
    "AR": "Ausgangsrechnungen",
    "ER": "Eingangsrechnungen",
    "BK": "Bank",
    "LG": "Lohn & Gehalt",
}


def _accounts(scope: Scope) -> Iterator[Row]:
    used = {code.account: key for key, code in TAX_CODES.items() if code.account}
    for number, (name, kind) in ACCOUNTS.items():
        yield number, name, kind, used.get(number), int(number not in ("0027", "1360"))


def _tax_codes(scope: Scope) -> Iterator[Row]:
    for key, code in TAX_CODES.items():
        yield key, code.name, decimal(code.rate), "output" if key.startswith("S") else "input"


def _journals(scope: Scope) -> Iterator[Row]:
    yield from JOURNALS.items()


TABLES = (
    Table(
        "tax_codes",
        (
            "code TEXT PRIMARY KEY",
            "name TEXT NOT NULL",
            "rate_percent DECIMAL(5,2) NOT NULL",
            "direction TEXT NOT NULL",
        ),
        _tax_codes,
    ),
    Table(
        "accounts",
        (
            "number TEXT PRIMARY KEY",  # text: leading zeros
            "name TEXT NOT NULL",
            "kind TEXT NOT NULL",
            "tax_code TEXT REFERENCES tax_codes (code)",
            "active BOOLEAN NOT NULL",
        ),
        _accounts,
    ),
    Table("journals", ("code TEXT PRIMARY KEY", "name TEXT NOT NULL"), _journals),
)
