"""The columns of the table, and their types in SQL."""

COLUMNS = {
    "id": "bigint not null",
    "name": "text not null",
    "email": "text not null",
    "born": "date not null",
    "seen_at": "timestamptz not null",
    "balance": "decimal(10,2) not null",
    "score": "double precision not null",
    "active": "boolean not null",
    "note": "text",
    "logins": "integer",
    "city": "text not null",
    "points": "bigint not null",
}

NAMES = list(COLUMNS)
