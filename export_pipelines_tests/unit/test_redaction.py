"""Secrets taken out of texts, and text that is safe on one line."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.notify.headers import one_line
from export_pipelines.notify.redaction import redact, unlogged
from export_pipelines.settings import Settings, load_settings
from export_pipelines.spec.load import SpecSet, load_specs

SECRETS = {
    "DB_PASSWORD": "canary-1 pässword/with@signs",
    "DATABASE_URL": "postgresql://report:canary-2%2F@db.example.org/shop?sslpassword=canary-3",
    "PLACED": "canary-4?a=b@c",
    "S3_ACCESS": "canary-5-id",
    "WHATEVER": "canary-6",
    "HOOK_URL": "https://hooks.example.org/services/T00000000/B00000000/canary7canary7canary7",
    "HOOK_SECRET": "whsec_canary8",
    "SLACK_URL": "slack://canary9-T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
    "SMTP_PASSWORD": "canary-10",
}
PUBLIC = {
    "HOST": "db.example.org",
    "REGION": "eu-central-1",
    "SMTP_HOST": "mail.example.org",
    "SMTP_USER": "exports",
    "EXPORT_STORAGE_PATH": "/srv/exports",
    "EXPORT_DEMO_DB": "/srv/state/demo.db",
}


@pytest.fixture
def known(tmp_path: Path) -> tuple[Settings, SpecSet]:
    """Settings and specs that refer to all of them."""
    secret = tmp_path / "secret"
    secret.write_text("canary-11\n")
    other = tmp_path / "other"
    other.write_text("canary-13\n")
    (tmp_path / "specs.yaml").write_text(f"""
connections:
  demo: {{url: "sqlite:///${{env:EXPORT_DEMO_DB}}"}}
  named: {{url: "postgresql://report:${{env:DB_PASSWORD}}@${{env:HOST}}/shop"}}
  whole: {{url: "${{env:DATABASE_URL}}"}}
  placed: {{url: "postgresql://report:${{env:PLACED}}@${{env:HOST}}/shop"}}
  file: {{url: "postgresql://report:${{file:{secret}}}@${{env:HOST}}/shop"}}
  elsewhere: {{url: "postgresql://report@${{env:HOST}}/shop?options=${{file:{other}}}"}}
  unset: {{url: "postgresql://report:${{env:NOT_SET_PASSWORD}}@${{env:HOST}}/shop"}}
stores:
  local: {{type: local, root: "${{env:EXPORT_STORAGE_PATH}}"}}
  lake: {{type: s3, bucket: acme, region: "${{env:REGION}}", access_key_id: "${{env:S3_ACCESS}}", secret_access_key: "${{env:WHATEVER}}"}}
recipients:
  hook: {{type: webhook, url: "${{env:HOOK_URL}}", secret: "${{env:HOOK_SECRET}}"}}
  slack: {{type: apprise, url: "${{env:SLACK_URL}}"}}
  ops: {{type: email, to: [ops@example.org]}}
""")
    ledger = {"EXPORT_LEDGER_URL": "postgresql://ledger:canary-12@db.example.org/ledger"}
    settings = load_settings({**SECRETS, **PUBLIC, **ledger})
    specs = load_specs(tmp_path, settings=settings)
    assert specs.problems == []
    return settings, specs


def test_no_secret_is_left(known: tuple[Settings, SpecSet]) -> None:
    values = [*SECRETS.values(), "canary-11", "canary-12", "canary-13", "canary-2/", "canary-3"]
    for text in (
        *values,
        *(quote(value, safe="") for value in values),
        *(quote(value) for value in values),
        *(repr(value) for value in values),
        "Max retries exceeded with url: /services/T00000000/B00000000/canary7canary7canary7 (Caused by …)",
        "password authentication failed for postgresql://report:canary-1%20p%C3%A4ssword%2Fwith%40signs@db/shop",
        "could not connect to https://user:canary-unknown@example.org/path",
        "at postgresql+psycopg2://u:canary-x@[::1]:5432/db and ftp://u:canary-y@h",
    ):
        assert "canary" not in redact(f"before {text} after", *known)
        assert redact(f"before {text} after", *known).startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        *PUBLIC.values(),
        "export students: dataset grades: column 'services' does not exist",
        "writing /srv/exports/2026-11-21/students: No space left on device",
        "https://hooks.example.org answered 503",
        "https://example.org:8443/a:b@c/d?e=f@g",
        "postgresql://report@db.example.org/shop",
        "mail ops@example.org: see http://127.0.0.1:3000/runs/1?x=1:2@3",
        "ratio 3:4@5 of ://",
        "",
    ],
)
def test_what_is_no_secret_stays(known: tuple[Settings, SpecSet], text: str) -> None:
    assert redact(text, *known) == text


def test_short_values_blot_out_nothing(tmp_path: Path) -> None:
    (tmp_path / "specs.yaml").write_text('connections: {a: {url: "postgresql://u:${env:PW}@h/d"}}')
    settings = load_settings({"PW": "abc"})
    specs = load_specs(tmp_path, settings=settings)
    assert redact("the abc of it", settings, specs) == "the abc of it"


def test_the_longest_secret_is_taken_out_first(tmp_path: Path) -> None:
    (tmp_path / "specs.yaml").write_text(
        'connections: {a: {url: "postgresql://u:${env:A_PASSWORD}@h/d"}, b: {url: "postgresql://u:${env:B_PASSWORD}@h/d"}}'
    )
    settings = load_settings({"A_PASSWORD": "longer", "B_PASSWORD": "longer-and-longer"})
    assert redact("x longer-and-longer y", settings, load_specs(tmp_path, settings=settings)) == "x *** y"


def test_only_what_is_logged_inside_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some.library")
    with caplog.at_level(logging.DEBUG):
        with unlogged("some.library"):
            logger.error("inside")
            other = threading.Thread(target=logger.error, args=("of another thread",))
            other.start()
            other.join()
        logger.error("outside")
    assert [record.message for record in caplog.records] == ["of another thread", "outside"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("  a \t b\r\nBcc: c\x00\x1b[31m", "a b Bcc: c [31m"),
        ("a\u0085b\u2028c\u2029d\u00a0e\u3000f", "a b c d e f"),
        ("\u202eabc\u2066d\ufeff", "abc d"),
        ("=?utf-8?q?=0d=0a?=", "= ?utf-8?q?=0d=0a?="),
        ("=?=?=?", "= ?= ?= ?"),
        ("\ud800x", "\ufffdx"),
        ("نمی\u200cخواهم 👩\u200d💻", "نمی\u200cخواهم 👩\u200d💻"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_a_long_line_is_cut_after_a_word() -> None:
    assert one_line("word " * 100) == "word " * 39 + "word…"
    assert one_line("x" * 300) == "x" * 199 + "…"
    assert one_line("x" * 200) == "x" * 200


@given(st.text())
def test_any_text_becomes_one_safe_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 200
    assert len(line.splitlines()) <= 1
    assert "=?" not in line
    assert one_line(line) == line
    line.encode()


@given(st.text(alphabet=st.sampled_from(" \r\n=?\0abc\u2028\ud800")))
def test_hostile_text_becomes_one_safe_line(text: str) -> None:
    test: Any = test_any_text_becomes_one_safe_line.hypothesis.inner_test
    test(text)
