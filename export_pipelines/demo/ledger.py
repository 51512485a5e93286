"""Double-entry accounting: every entry's lines balance to the cent, tax lines and credit notes included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random

from export_pipelines.demo import chart, parties
from export_pipelines.demo.chart import TAX_CODES
from export_pipelines.demo.names import company, note
from export_pipelines.demo.table import Row, Scope, Table, decimal, timestamp

_ENTRIES_PER_DAY = 1
_SALES = (("8400", "S19"), ("8400", "S19"), ("8300", "S07"), ("8125", "SEU"), ("8120", "SEX"))
_PURCHASES = (
    ("3400", "P19"),
    ("3300", "P07"),
    ("3125", "R19"),
    ("4210", "P00"),
    ("4530", "P19"),
    ("4660", "P07"),
    ("4920", "P19"),
    ("4930", "P19"),
)


@dataclass(frozen=True)
class _Line:
    """One side of a posting: cents are positive on the debit side (+1) as on the credit side (-1)."""

    account: str
    side: int
    cents: int
    customer: int | None = None
    supplier: int | None = None
    tax_code: str | None = None
    cost_centre: str | None = None


@dataclass(frozen=True)
class _Draft:
    """An entry before it gets its number and dates."""

    journal: str
    kind: str
    text: str
    lines: tuple[_Line, ...]
    due_days: int | None = None


def _taxed(random: Random, choices: tuple[tuple[str, str], ...], side: int) -> list[_Line]:
    """One to three net lines, and the tax lines of their totals, rounded half up."""
    lines, totals = [], defaultdict[str, int](int)
    for _ in range(random.randint(1, 3)):
        account, code = random.choice(choices)
        cents = random.randint(199, 900_000)
        centre = random.choice((None, "", f"{random.randint(2, 6):02}0{random.randint(1, 4)}"))
        lines.append(_Line(account, side, cents, tax_code=code, cost_centre=centre))
        totals[code] += cents
    for code, net in totals.items():
        tax = TAX_CODES[code]
        cents = (net * tax.rate + 5_000) // 10_000
        if tax.account:
            lines.append(_Line(tax.account, side, cents, tax_code=code))
        if tax.counter:
            lines.append(_Line(tax.counter, -side, cents, tax_code=code))
    return lines


def _gross(lines: list[_Line]) -> int:
    return abs(sum(line.side * line.cents for line in lines))


def _sale(random: Random, scope: Scope) -> _Draft:
    customer, lines = random.randint(1, parties.customer_count(scope)), _taxed(random, _SALES, -1)
    party = _Line("1400", 1, _gross(lines), customer=customer)
    return _Draft("AR", "invoice", f"Rechnung {company(customer)}", (party, *lines), 30)


def _purchase(random: Random, scope: Scope) -> _Draft:
    supplier, lines = random.randint(1, parties.supplier_count(scope)), _taxed(random, _PURCHASES, 1)
    party = _Line("1600", -1, _gross(lines), supplier=supplier)
    return _Draft("ER", "bill", f"Eingangsrechnung {parties.supplier_name(supplier)}", (*lines, party), 14)


def _credit_note(random: Random, scope: Scope) -> _Draft:
    """A sale with negative amounts on the same sides, as the trade does it."""
    sale = _sale(random, scope)
    lines = tuple(replace(line, cents=-line.cents) for line in sale.lines)
    return _Draft("AR", "credit_note", sale.text.replace("Rechnung", "Gutschrift", 1), lines)


def _receipt(random: Random, scope: Scope) -> _Draft:
    cents, customer = random.randint(500, 900_000), random.randint(1, parties.customer_count(scope))
    lines = (_Line("1200", 1, cents), _Line("1400", -1, cents, customer=customer))
    return _Draft("BK", "receipt", f"Zahlungseingang {company(customer)}", lines)


def _payment(random: Random, scope: Scope) -> _Draft:
    cents, supplier = random.randint(500, 900_000), random.randint(1, parties.supplier_count(scope))
    fee = random.choice((0, 0, 15, 990))
    bank = [_Line("4970", 1, fee), _Line("1200", -1, cents + fee)] if fee else [_Line("1200", -1, cents)]
    lines = (_Line("1600", 1, cents, supplier=supplier), *bank)
    return _Draft("BK", "payment", f"-Zahlung an {parties.supplier_name(supplier)}", lines)


def _payroll(random: Random, scope: Scope) -> _Draft:
    gross, social, tax = (
        random.randint(250_000, 900_000),
        random.randint(40_000, 90_000),
        random.randint(20_000, 90_000),
    )
    lines = (
        _Line("4120", 1, gross, cost_centre="0200"),
        _Line("4130", 1, social, cost_centre="0200"),
        _Line("1740", -1, gross - tax),
        _Line("1741", -1, tax),
        _Line("1742", -1, social),
    )
    return _Draft("LG", "payroll", "Lohn, Gehalt; soziale Abgaben", lines)


_KINDS: tuple[Callable[[Random, Scope], _Draft], ...] = (_sale, _purchase, _credit_note, _receipt, _payment, _payroll)
_WEIGHTS = (34, 24, 8, 16, 14, 4)


def _drafts(scope: Scope) -> Iterator[tuple[int, datetime, date, _Draft]]:
    """Number, instant of posting, date and content of each entry. Entries and lines both read this same sequence."""
    random = scope.random("entries")
    for number, posted_at in enumerate(scope.instants(random, per_day=_ENTRIES_PER_DAY), 1):
        booked = posted_at.date() - timedelta(days=random.choice((0, 0, 0, 0, 0, 1, 3)))
        (make,) = random.choices(_KINDS, _WEIGHTS)
        yield number, posted_at, booked, make(random, scope)


def _entries(scope: Scope) -> Iterator[Row]:
    for number, posted_at, booked, draft in _drafts(scope):
        due = None if draft.due_days is None else (booked + timedelta(days=draft.due_days)).isoformat()
        document = f"{draft.journal}{booked.year}-{number:06}"
        dates = booked.isoformat(), timestamp(posted_at), due
        yield (number, draft.journal, document, draft.kind, *dates, draft.text, "EUR", note(number))


def _entry_lines(scope: Scope) -> Iterator[Row]:
    line_id = 0
    for number, _, _, draft in _drafts(scope):
        for position, line in enumerate(draft.lines, 1):
            line_id += 1
            debit, credit = (decimal(line.cents), None) if line.side > 0 else (None, decimal(line.cents))
            parts = line.customer, line.supplier, line.tax_code
            yield (line_id, number, position, line.account, *parts, debit, credit, line.cost_centre)


TABLES = (
    *chart.TABLES,
    *parties.TABLES,
    Table(
        "entries",
        (
            "id INTEGER PRIMARY KEY",
            "journal TEXT NOT NULL REFERENCES journals (code)",
            "document_no TEXT NOT NULL",
            "kind TEXT NOT NULL",
            "entry_date DATE NOT NULL",
            "posted_at TIMESTAMPTZ NOT NULL",
            "due_date DATE",
            "text TEXT NOT NULL",
            "currency TEXT NOT NULL",
            "note TEXT",
        ),
        _entries,
    ),
    Table(
        "entry_lines",
        (
            "id INTEGER PRIMARY KEY",
            "entry_id INTEGER NOT NULL REFERENCES entries (id)",
            "line_no INTEGER NOT NULL",
            "account TEXT NOT NULL REFERENCES accounts (number)",
            "customer_id INTEGER REFERENCES customers (id)",
            "supplier_id INTEGER REFERENCES suppliers (id)",
            "tax_code TEXT REFERENCES tax_codes (code)",
            "debit DECIMAL(12,2)",  # exactly one of debit and credit is set; negative in credit notes
            "credit DECIMAL(12,2)",
            "cost_centre TEXT",
        ),
        _entry_lines,
    ),
)

VIEWS = ()
