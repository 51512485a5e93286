"""A different secret in every credential, exports that succeed and fail, messages that arrive and do not: none is told (I13)."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, quote_plus

import dagster as dg
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from export_pipelines.cli.main import main
from export_pipelines.notify.drain import drain
from export_pipelines.orchestration.assets import export_asset, io_manager_key
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.orchestration.observer import observe
from export_pipelines.project import Project
from export_pipelines_tests.contracts.s3_faults import when
from export_pipelines_tests.notify_servers import PASSWORD, SmtpServer, WebhookServer, smtp_server, webhook_server
from export_pipelines_tests.projects import environment, write_project
from export_pipelines_tests.s3_servers import ACCESS_KEY, SECRET_KEY, Action, Proxy, S3Server, s3_proxy
from export_pipelines_tests.servers import LOCKED_PASSWORD, LOCKED_ROLE, PostgresServer

DAY = "2026-01-05"
WRONG = "wrong-cänary/source@1"
LEDGER = "ledger-cänary/with@2"
HOOK_TOKEN = "hook-canary-T0000/B0001"
HOOK_SECRET = "whsec_aG9vay1zZWNyZXQtY2FuYXJ5LTM="
CHAT_PASSWORD = "chat-cänary/with@4"
CHAT_TOKEN = "chat-canary-T0000-B0005"
WRONG_KEY = "store-canary-6"
SECRETS = {
    "source": LOCKED_PASSWORD,
    "source refused": WRONG,
    "ledger": LEDGER,
    "store": SECRET_KEY,
    "store's key": ACCESS_KEY,
    "store refused": WRONG_KEY,
    "smtp": PASSWORD,
    "webhook": HOOK_TOKEN,
    "webhook's signature": HOOK_SECRET,
    "apprise": CHAT_PASSWORD,
    "apprise's token": CHAT_TOKEN,
}
BAD = {"bad_store", "bad_sql", "refused", "alchemy", "down"}
COMMANDS = [
    ("run", "good", "--partition", DAY),
    ("run", "refused", "--partition", DAY),
    ("run", "down", "--partition", DAY),
    ("run", "bad_store", "--partition", DAY, "--json"),
    ("preview", "refused"),
    ("preview", "good", "--json"),
    ("check", "--json"),
    ("list", "--json"),
    ("show", "good"),
    ("show", "refused", "--json"),
    ("history", "--json"),
    ("artifacts", "--json"),
    ("status",),
    ("health", "--json"),
    ("stats",),
    ("metrics",),
    ("verify", "--json"),
    ("notify", "list", "--json"),
    ("notify", "test", "hook"),
    ("notify", "test", "chat"),
    ("notify", "test", "ops"),
]


def shapes(secret: str) -> set[str]:
    """The secret as it is, as URLs, JSON, Python and base64 write it, and its longer parts."""
    found = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    found |= {repr(secret)[1:-1], ascii(secret)[1:-1], base64.b64encode(secret.encode()).decode().rstrip("=")}
    for separator in "/@":
        found |= {part for part in secret.split(separator) if len(part) > 7}
    return found | {secret.removeprefix("whsec_")}


def told(data: bytes) -> list[str]:
    """Whose secrets the bytes hold."""
    shown = data.decode("utf-8", "replace")
    return [name for name, secret in SECRETS.items() if any(shape in shown for shape in shapes(secret))]


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with smtp_server(with_login=True) as server:
        yield server


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    with webhook_server() as server:
        yield server


@pytest.fixture
def lake(rclone: S3Server) -> Iterator[Proxy]:
    with s3_proxy(rclone) as proxy:
        yield proxy


@pytest.fixture
def ledger_url(postgres: PostgresServer, postgres_database: str) -> str:
    return postgres.url(postgres_database, password=LEDGER)


@pytest.fixture
def made(
    tmp_path: Path, postgres: PostgresServer, ledger_url: str, lake: Proxy, smtp: SmtpServer, hook: WebhookServer
) -> Project:
    host, postgres_host = f"127.0.0.1:{hook.port}", quote(str(postgres.directory), safe="")
    variables = environment(
        tmp_path,
        EXPORT_LEDGER_URL=ledger_url,
        EXPORT_LEASE_WAIT_SECONDS="1",
        SOURCE_PASSWORD=quote(LOCKED_PASSWORD, safe=""),
        WRONG_PASSWORD=quote(WRONG, safe=""),
        STORE_KEY=ACCESS_KEY,
        STORE_SECRET=SECRET_KEY,
        STORE_WRONG=WRONG_KEY,
        HOOK_URL=f"http://{host}/{HOOK_TOKEN}",
        HOOK_SECRET=HOOK_SECRET,
        CHAT_URL=f"json://someone:{quote(CHAT_PASSWORD, safe='')}@{host}/{CHAT_TOKEN}/?rto=2&cto=2",
        **smtp.environment(SMTP_USE_TLS="false"),
    )
    urls = {
        "good": f"{LOCKED_ROLE}:${{env:SOURCE_PASSWORD}}@/postgres?host={postgres_host}",
        "refused": f"{LOCKED_ROLE}:${{env:WRONG_PASSWORD}}@/postgres?host={postgres_host}",
        "down": "nobody:${env:WRONG_PASSWORD}@127.0.0.1:1/none",
        "alchemy": f"{LOCKED_ROLE}:${{env:WRONG_PASSWORD}}@/postgres?host={postgres_host}",
    }
    schemes = {"alchemy": "postgresql+psycopg2"}
    connections = {name: {"url": f"{schemes.get(name, 'postgresql')}://{url}"} for name, url in urls.items()}
    keys = {"access_key_id": "${env:STORE_KEY}", "secret_access_key": "${env:STORE_SECRET}"}
    bucket = lake.server.new_bucket()
    spec = {**lake.server.spec(bucket, timeout_seconds=2).model_dump(exclude_defaults=True), **keys, "type": "s3"}
    ok = {"datasets": {"numbers": {"sql": "select 1 as id, 'ann' as name"}}, "retries": {"max_retries": 0}}
    exports = {
        "good": {**ok, "source": "good"},
        "lake": {**ok, "source": "good", "store": "lake"},
        "bad_store": {**ok, "source": "good", "store": "wrong"},
        "bad_sql": {**ok, "source": "good", "datasets": {"numbers": {"sql": "select nonsense from nowhere"}}},
        "refused": {**ok, "source": "refused"},
        "alchemy": {**ok, "source": "alchemy"},
        "down": {**ok, "source": "down"},
    }
    settings = write_project(
        tmp_path,
        exports,
        environ=variables,
        connections=connections,
        stores={"lake": spec, "wrong": {**spec, "secret_access_key": "${env:STORE_WRONG}"}},
        recipients={
            "ops": {"type": "email", "to": ["ops@example.org"]},
            "hook": {"type": "webhook", "url": "${env:HOOK_URL}", "secret": "${env:HOOK_SECRET}"},
            "chat": {"type": "apprise", "url": "${env:CHAT_URL}"},
        },
        notify={"default": {"failure": ["ops", "hook", "chat"], "success": ["ops", "hook", "chat"]}},
    )
    project = Project.load(settings)
    project.specs.require_valid()
    return project


def test_no_secret_is_told_anywhere(
    tmp_path: Path,
    made: Project,
    lake: Proxy,
    smtp: SmtpServer,
    hook: WebhookServer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    variables = dict(made.settings.variables)
    with caplog.at_level(logging.DEBUG, "export_pipelines"), dg.instance_for_test(temp_dir=str(home)) as instance:
        lake.rule = when("^PUT", Action(answer=(403, "AccessDenied")))
        assert _materialize(made, instance) == {"lake", *BAD}
        lake.rule = lambda request: None
        assert _materialize(made, instance) == BAD
        observe(made, instance, since=None, names=[], now=datetime.now(UTC))
        hook.status, hook.answer = 500, f"no {quote(HOOK_TOKEN)}, no {HOOK_TOKEN}, and not {HOOK_SECRET}".encode()
        smtp.answer = f"451 later, and the login was {quote(PASSWORD)}"
        drain(made, seconds=20)
        outputs = _outputs(variables, COMMANDS)  # nothing is delivered
        hook.status, smtp.answer = 200, ""
        outputs += _outputs({**variables, "SMTP_PASSWORD": WRONG}, [("notify", "test", "ops"), ("health",)])
        outputs += _outputs(variables, [("notify", "send"), ("notify", "list", "--json")])
        outputs += _processes(variables, [("run", "refused", "--partition", DAY), ("notify", "test", "hook")])
    assert smtp.mails
    assert len(hook.posts) > 4
    places = {"output of the commands": outputs, "log": caplog.text.encode(), "ledger": _ledger(made)}
    places |= dict(zip(("output", "error output"), (text.encode() for text in capfd.readouterr()), strict=True))
    places |= {f"mail {n}": mail.raw for n, mail in enumerate(smtp.mails)}
    places |= {f"post {n}": post.body for n, post in enumerate(hook.posts)}
    places |= {f"object {name}": data for name, data in _objects(lake)}
    places |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    places["names"] = "\n".join(map(str, tmp_path.rglob("*"))).encode()
    assert {place: told(data) for place, data in places.items() if told(data)} == {}
    assert (
        sum(path.endswith(".db") and b"AccessDenied" in data for path, data in places.items()) > 0
    )  # Dagster's storage
    assert any("numbers.csv" in place for place in places if place.startswith("object "))
    assert b"AccessDenied" in places["ledger"]


def test_every_shape_of_a_secret_would_be_found() -> None:
    for name, secret in SECRETS.items():
        for written in (secret, quote(secret, safe=""), json.dumps(secret), base64.b64encode(secret.encode()).decode()):
            assert name in told(f"before {written} after".encode())


def _materialize(made: Project, instance: dg.DagsterInstance) -> set[str]:
    """Run every export in a run of its own; the names of those that failed."""
    failed = set()
    for name, export in made.specs.exports.items():
        result = dg.materialize(
            [export_asset(made, export)],
            partition_key=DAY,
            instance=instance,
            resources={io_manager_key(export.spec.store): io_manager(made, export.spec.store)},
            raise_on_error=False,
        )
        if not result.success:
            failed.add(name)
    return failed


def _outputs(variables: dict[str, str], commands: list[tuple[str, ...]]) -> bytes:
    """All that the commands print."""
    outputs = []
    for words in commands:
        result = CliRunner().invoke(main, list(words), env=variables, prog_name="exports")
        assert isinstance(result.exception, SystemExit | None), (words, result.exception)
        outputs.append(result.output)
    return "\n".join(outputs).encode()


def _processes(variables: dict[str, str], commands: list[tuple[str, ...]]) -> bytes:
    """The same of processes of their own, with what only a process prints when it ends."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EXPORT_")} | variables

    def run(words: tuple[str, ...]) -> bytes:
        command = [sys.executable, "-m", "export_pipelines.cli.main", *words]
        return subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    with ThreadPoolExecutor(2) as pool:
        return b"\n".join(pool.map(run, commands))


def _ledger(made: Project) -> bytes:
    """Every row of every table."""
    with made.ledger.read() as connection:
        tables = connection.execute(text("select tablename from pg_tables where tablename like 'export%'")).scalars()
        rows = [row for table in tables.all() for row in connection.execute(text(f"select t::text from {table} t"))]
    assert len(rows) > 10
    return repr(rows).encode() + "\n".join(row[0] for row in rows).encode()


def _objects(lake: Proxy) -> Iterator[tuple[str, bytes]]:
    client = lake.server.client
    for bucket in client.list_buckets()["Buckets"]:
        for name in lake.server.listing(bucket["Name"]):
            yield name, client.get_object(Bucket=bucket["Name"], Key=name)["Body"].read()
