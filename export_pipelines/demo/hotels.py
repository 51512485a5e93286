"""Hotels: our directory, and how the hotel ids of suppliers map to it, matched around the clock."""

from __future__ import annotations

from collections.abc import Iterator

from export_pipelines.demo.names import CITIES, HOTELS, SUPPLIERS, note
from export_pipelines.demo.table import Row, Scope, Table, decimal, timestamp

_HOTELS_PER_SCALE = 300
_MAPPINGS_PER_DAY = 4
_METHODS = ("geo", "manual", "name", "vendor-list")


def _hotels(scope: Scope) -> Iterator[Row]:
    random = scope.random("hotels")
    for number in range(1, _HOTELS_PER_SCALE * scope.scale + 1):
        city, country, _, latitude, longitude = CITIES[number % len(CITIES)]
        yield (
            number,
            f"{random.choice(HOTELS)} {number}",
            city,
            country,
            random.choice((None, 1, 2, 3, 4, 5)),
            round(latitude + random.uniform(-0.1, 0.1), 6),
            round(longitude + random.uniform(-0.1, 0.1), 6),
            int(random.random() < 0.9),
            scope.day(random.randint(1, 20_000)).isoformat(),
            note(number),
        )


def _mappings(scope: Scope) -> Iterator[Row]:
    random, hotels = scope.random("mappings"), _HOTELS_PER_SCALE * scope.scale
    for number, matched_at in enumerate(scope.instants(random, per_day=_MAPPINGS_PER_DAY), 1):
        found = random.random() < 0.9
        yield (
            number,
            random.choice(SUPPLIERS),
            f"{random.randint(1, 999_999):07}",  # the leading zeros matter
            random.randint(1, hotels) if found else None,
            decimal(random.randint(4_000, 10_000) if found else 0, digits=4),
            random.choice(_METHODS),
            timestamp(matched_at),
            random.choice((None, None, "", "ann", "ελένη")),
        )


TABLES = (
    Table(
        "hotels",
        (
            "id INTEGER PRIMARY KEY",
            "name TEXT NOT NULL",
            "city TEXT NOT NULL",
            "country TEXT NOT NULL",
            "stars INTEGER",
            "latitude REAL NOT NULL",
            "longitude REAL NOT NULL",
            "active BOOLEAN NOT NULL",
            "opened_on DATE NOT NULL",
            "description TEXT",
        ),
        _hotels,
    ),
    Table(
        "mappings",
        (
            "id INTEGER PRIMARY KEY",
            "supplier TEXT NOT NULL",
            "supplier_hotel_id TEXT NOT NULL",
            "hotel_id INTEGER REFERENCES hotels (id)",  # NULL: not found
            "confidence DECIMAL(5,4) NOT NULL",
            "method TEXT NOT NULL",
            "matched_at TIMESTAMPTZ NOT NULL",
            "reviewed_by TEXT",
        ),
        _mappings,
    ),
)

VIEWS = ()
