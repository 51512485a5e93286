"""Word lists of the demo data, in many scripts and with everything that breaks careless exports."""

from __future__ import annotations

FIRST_NAMES = (
    ("Ann", "ann"),
    ("Zoë", "zoe"),
    ("José", "jose"),
    ("Ελένη", "eleni"),
    ("Дмитрий", "dmitri"),
    ("美咲", "misaki"),
    ("Björn", "bjoern"),
    ("Annika", "annika"),
    ("Γιώργος", "giorgos"),
    ("Siobhán", "siobhan"),
    ("Łukasz", "lukasz"),
    ("伟", "wei"),
    ("Ольга", "olga"),
    ("D'Arcy", "darcy"),
    ("Nguyễn", "nguyen"),
    ("Jean-Luc", "jean-luc"),
    ("민준", "minjun"),
    ("Aşkın", "askin"),
    ("Johanna", "johanna"),
    ("Mia", "mia"),
    ("Noah", "noah"),
    ("Fátima", "fatima"),
    ("Čeněk", "cenek"),
)
"""Given name, and how it is written in an e-mail address."""

LAST_NAMES = (
    ("O'Brien", "obrien"),
    ("Müller", "mueller"),
    ("Παπαδόπουλος", "papadopoulos"),
    ("Иванова", "ivanova"),
    ("田中", "tanaka"),
    ("Smith", "smith"),
    ("Nuñez", "nunez"),
    ("de la Cruz", "delacruz"),
    ("Åström", "astrom"),
    ("Hannigan", "hannigan"),
    ("Kowalczyk-Święch", "kowalczyk"),
    ("王", "wang"),
    ("D’Angelo", "dangelo"),
    ("van den Berg", "vandenberg"),
    ("Øverland", "overland"),
    ("Weiß", "weiss"),
    ("Null", "null"),
    ("김", "kim"),
    ("Şahin", "sahin"),
)
"""Family name, and how it is written in an e-mail address."""

LONG_TEXT = " ".join(
    f"§{number} The parties agree that “either side” may, at 100 % of its own cost, amend clause {number}.{number};"
    for number in range(1, 31)
)
"""About 2,700 characters without a line end."""

NOTES = (
    None,
    "",
    None,
    "=SUM(A1:A9)",
    "",
    '=HYPERLINK("http://example.org","click")',
    "-2+3",
    "-12.50",
    "+49 30 1234567",
    "@home since March",
    'said "no", then "yes"',
    "Smith, Ann; see also: Weiß",
    "first line\nsecond line",
    "Windows\r\nline end",
    "tab\there",
    " spaces around ",
    "O'Brien's file",
    "NULL",
    "0012",
    "1e5",
    "2026-01-31",
    "TRUE",
    "<b>bold</b> & <br/> markup",
    "100 % sûr: Ångström, Łódź",
    "Καλημέρα κόσμε",
    "Привет, мир",
    "日本語のメモ。",
    "שלום",
    "e\u0301 (a combining accent)",
    "🙂 fine",
    "C:\\temp\\new",
    LONG_TEXT,
)
"""Notes: NULL beside empty text, formulas, separators, quotes, line ends, markup, numbers that are text, long text."""

CITIES = (
    ("Berlin", "DE", "10115", 52.52, 13.405),
    ("Αθήνα", "GR", "105 57", 37.9838, 23.7275),
    ("Київ", "UA", "01001", 50.4501, 30.5234),
    ("東京", "JP", "100-0001", 35.6762, 139.6503),
    ("São Paulo", "BR", "01310-100", -23.5505, -46.6333),
    ("L'Aquila", "IT", "67100", 42.3498, 13.3995),
    ("Wien", "AT", "1010", 48.2082, 16.3738),
    ("Reykjavík", "IS", "101", 64.1466, -21.9426),
    ("Zürich", "CH", "8001", 47.3769, 8.5417),
    ("Oslo", "NO", "0150", 59.9139, 10.7522),
    ("上海", "CN", "200001", 31.2304, 121.4737),
    ("Kraków", "PL", "30-001", 50.0647, 19.945),
    ("New York", "US", "10001", 40.7128, -74.006),
)
"""City, country, postcode, latitude, longitude."""

HOTELS = (
    "Hôtel de l'Étoile",
    "Ξενοδοχείο Ακρόπολις",
    "Гостиница «Север»",
    "ホテル富士",
    'The "Grand" Palace',
    "Pension Müller, garni",
    "Seaside Inn & Suites",
    "Zum Goldenen Löwen",
    "外滩大酒店",
    "Ann's Bed & Breakfast",
    "@Central Hostel",
    "Pousada São João",
)

SUPPLIERS = ("bedlink", "hotelnexus", "roomhub", "sejour", "staywire", "tripstock", "unterkunft24")
"""Companies that sell rooms; `mappings` joins their hotel ids to ours."""

COMPANIES = (
    "Müller & Söhne GmbH",
    "O'Brien Ltd.",
    "Παπαδόπουλος Α.Ε.",
    "ООО «Ромашка»",
    "株式会社山田商店",
    "Société Générale d'Électricité",
    'Café "Zur Post", Inh. Å. Åström',
    "Łódzka Spółdzielnia; Oddział 2",
    "+Plus Media AG",
    "=Equal Works e.V.",
    "上海贸易有限公司",
    "Nordlys Fisk AS",
    "Smith, Jones & Partners",
    "@work Coworking UG",
)


def company(number: int) -> str:
    """The name of the customer or supplier of this number; the same whenever it is asked."""
    return f"{COMPANIES[number % len(COMPANIES)]} {number:04}"


def note(number: int) -> str | None:
    """The note of the row of this number: each of NOTES in turn."""
    return NOTES[number % len(NOTES)]
