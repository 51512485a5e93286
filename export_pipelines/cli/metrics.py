"""`exports metrics`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.cli.files import replace_file
from export_pipelines.errors import ConfigurationError


def _address(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """`HOST:PORT`, as (host, port); an IPv6 host may stand in brackets."""
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is not HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Replace this file.")
@click.option("--listen", callback=_address, metavar="HOST:PORT", help="Answer Prometheus there until stopped.")
@json_option
@click.pass_context
def command(ctx: click.Context, output: Path | None, listen: tuple[str, int] | None) -> None:
    """Print the state of all exports as Prometheus reads it, write it into a file, or serve it.

    Exits 1 if the ledger cannot be reached.
    """
    from export_pipelines.monitoring.prometheus import ExportsCollector, text

    app: App = ctx.obj
    if output and listen:
        raise click.UsageError("--output and --listen exclude each other.")
    if listen:
        _serve(app, *listen)
        return
    collector = ExportsCollector(lambda: app.project)
    data = text(collector)
    if output:
        replace_file(output, data, what="metrics")
        app.answer({"file": str(output), "bytes": len(data)}, lambda: click.echo(f"Wrote {output}"))
    else:
        app.answer({"metrics": _samples(data)}, lambda: click.echo(data, nl=False))
    if not collector.health.reachable:
        app.say(f"Error: {collector.health.problems[0]}", style="red")
        ctx.exit(1)


def _samples(data: bytes) -> list[dict[str, Any]]:
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(data.decode())
    return [{"name": s.name, "labels": s.labels, "value": s.value} for family in families for s in family.samples]


def _serve(app: App, host: str, port: int) -> None:
    """Answer until SIGTERM or Ctrl-C. The specs are read at each request."""
    from prometheus_client import start_http_server

    from export_pipelines.monitoring.prometheus import ExportsCollector, registry
    from export_pipelines.project import Project

    metrics = registry(ExportsCollector(lambda: Project.load(app.settings)))
    try:
        server, thread = start_http_server(port, addr=host, registry=metrics)
    except OSError as error:
        what = f"listening on {host}:{port}: {error.strerror}"
        raise ConfigurationError(what, hint="Choose another address or port") from error
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    url = f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
    app.answer({"url": url}, lambda: click.echo(f"Metrics on {url}"))
    stopped.wait()
    server.shutdown()
    server.server_close()
    thread.join()
