"""Customers and suppliers of the demo ledger, each with a personal account of its own."""

from __future__ import annotations

from collections.abc import Iterator

from export_pipelines.demo.names import CITIES, company, note
from export_pipelines.demo.table import Row, Scope, Table, decimal

_MAX_CUSTOMERS, _MAX_SUPPLIERS = 50_000, 25_000
_STREETS = ("Hauptstraße", "Rue de l'Église", "Λεωφόρος Συγγρού", "ул. Ленина", "Main St., Apt", "中山路")


def customer_count(scope: Scope) -> int:
    """Customers have the accounts 10000 to 69999, so their number has a limit."""
    return min(250 * scope.scale, _MAX_CUSTOMERS)


def supplier_count(scope: Scope) -> int:
    """Suppliers have the accounts 70000 to 99999, so their number has a limit."""
    return min(200 * scope.scale, _MAX_SUPPLIERS)


def supplier_name(number: int) -> str:
    """The name of a supplier; suppliers begin where customers end, so that none has a customer's name."""
    return company(_MAX_CUSTOMERS + number)


def _address(number: int) -> tuple[str, str, str, str]:
    """Street, postcode, city, country."""
    city, country, postcode, _, _ = CITIES[number % len(CITIES)]
    return f"{_STREETS[number % len(_STREETS)]} {number % 200 + 1}", postcode, city, country


def _customers(scope: Scope) -> Iterator[Row]:
    random = scope.random("customers")
    for number in range(1, customer_count(scope) + 1):
        address = _address(number)
        vat_id = random.choice((None, "", f"{address[3]}{random.randint(100_000_000, 999_999_999)}"))
        limit = decimal(random.randint(1, 500) * 10_000) if random.random() < 0.7 else None
        since = scope.day(random.randint(401, 4000)).isoformat()
        yield (number, str(10_000 + number), company(number), *address, vat_id, limit, since, note(number))


def _suppliers(scope: Scope) -> Iterator[Row]:
    random = scope.random("suppliers")
    for number in range(1, supplier_count(scope) + 1):
        address = _address(number + 5)
        vat_id = f"{address[3]}{random.randint(100_000_000, 999_999_999)}" if random.random() < 0.8 else None
        iban = f"DE{random.randint(10, 99)}{random.randint(0, 10**18 - 1):018}" if random.random() < 0.9 else ""
        yield (number, str(70_000 + number), supplier_name(number), *address, vat_id, iban, note(number))


_ADDRESS = ("street TEXT NOT NULL", "postcode TEXT NOT NULL", "city TEXT NOT NULL", "country TEXT NOT NULL")

TABLES = (
    Table(
        "customers",
        (
            "id INTEGER PRIMARY KEY",
            "account TEXT NOT NULL UNIQUE",
            "name TEXT NOT NULL",
            *_ADDRESS,
            "vat_id TEXT",
            "credit_limit DECIMAL(12,2)",
            "customer_since DATE NOT NULL",
            "note TEXT",
        ),
        _customers,
    ),
    Table(
        "suppliers",
        (
            "id INTEGER PRIMARY KEY",
            "account TEXT NOT NULL UNIQUE",
            "name TEXT NOT NULL",
            *_ADDRESS,
            "vat_id TEXT",
            "iban TEXT NOT NULL",
            "note TEXT",
        ),
        _suppliers,
    ),
)
