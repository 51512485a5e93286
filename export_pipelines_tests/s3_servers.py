"""Real S3 services on loopback, and a proxy that loses, damages and answers requests."""

from __future__ import annotations

import http.client
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3.session
from botocore.config import Config

from export_pipelines.settings import Settings
from export_pipelines.spec.stores import S3StoreSpec

ACCESS_KEY = "access-key-canary"
SECRET_KEY = "secret-key-canary"
_READY_SECONDS = 60
_SESSION = boto3.session.Session()


@dataclass(frozen=True)
class S3Server:
    """A running service, or a proxy in front of it."""

    endpoint: str
    behind: str = ""  # endpoint of the service behind a proxy

    @cached_property
    def client(self) -> Any:
        """A boto3 client of the service itself, which shares nothing with the code under test."""
        return _SESSION.client(
            "s3",
            endpoint_url=self.behind or self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def new_bucket(self) -> str:
        """A new, empty bucket."""
        name = f"bucket-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    def spec(self, bucket: str, **fields: Any) -> S3StoreSpec:
        """A store's spec with the smallest parts; credentials are references."""
        fields = {"prefix": "prod", "part_bytes": 5 * 2**20, "timeout_seconds": 20, "region": "us-east-1"} | fields
        return S3StoreSpec(
            bucket=bucket,
            endpoint_url=self.endpoint,
            access_key_id="${env:S3_KEY}",
            secret_access_key="${env:S3_SECRET}",
            path_style=True,
            **fields,
        )

    def settings(self, state: Path, *, access: str = ACCESS_KEY, secret: str = SECRET_KEY) -> Settings:
        """Settings that hold the credentials; staging goes below `state`."""
        return Settings({"S3_KEY": access, "S3_SECRET": secret, "EXPORT_STATE_PATH": str(state)})

    def listing(self, bucket: str) -> list[str]:
        """All keys and, as `upload of {key}`, all open multipart uploads of a bucket."""
        client = self.client
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        try:
            uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        except client.exceptions.NoSuchUpload:  # rclone, if there are none
            uploads = []
        return sorted(keys) + sorted(f"upload of {found['Key']}" for found in uploads)


@contextmanager
def moto_s3(directory: Path) -> Iterator[S3Server]:
    """moto's server in a process of its own. It checks no signatures."""
    port = free_port()
    command = [_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _serving(command, port, directory / "moto.log") as server:
        yield server


@contextmanager
def rclone_s3(directory: Path) -> Iterator[S3Server]:
    """`rclone serve s3` over a new directory. It checks signatures and MD5, and ignores If-None-Match."""
    port, root = free_port(), directory / "rclone"
    root.mkdir()
    command = [_program("rclone"), "serve", "s3", "--config", os.devnull, "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", str(root)]
    with _serving(command, port, directory / "rclone.log") as server:
        yield server


def free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _serving(command: list[str], port: int, log: Path) -> Iterator[S3Server]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        _wait_until_ready(process, port, log)
        yield S3Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        connection.close()
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} is not ready: {log.read_text(errors='replace')[-2000:]}")


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@dataclass(frozen=True)
class Request:
    """One request as the proxy sees it. `line` is `PUT /bucket/key?query`."""

    line: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Action:
    """What the proxy does with a request; by default it passes it on."""

    cut_body_at: int | None = None  # pass on so many bytes of the body, or nothing at all; then drop both connections
    flip_byte: bool = False  # change one bit of the body
    answer: tuple[int, str] | None = None  # do not pass on; answer this status and error code
    reply: bytes | None = None  # do not pass on; answer 200 with this body
    lose_answer: bool = False  # pass on, then drop the client's connection
    cut_answer_at: int | None = None  # drop the connection after so many bytes of the answer
    stall: bool = False  # do not pass on, and do not answer until the proxy ends


PASS_ON = Action()


class Proxy:
    """Stands between a store and a service. `rule` decides about each request; `lines` are those seen so far."""

    def __init__(self, upstream: S3Server) -> None:
        self.upstream = upstream.endpoint.removeprefix("http://")
        self.rule: Callable[[Request], Action | None] = lambda request: None
        self.lines: list[str] = []
        self.server = S3Server("")
        self.ended = threading.Event()

    def decide(self, request: Request) -> Action:
        """Record the request and ask the rule."""
        self.lines.append(request.line)
        return self.rule(request) or PASS_ON


@contextmanager
def s3_proxy(upstream: S3Server) -> Iterator[Proxy]:
    """A proxy in a thread of this process."""
    proxy = Proxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    proxy.server = S3Server(f"http://127.0.0.1:{server.server_port}", behind=upstream.endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def handle_one(self) -> None:
        """Decide about one request and carry that out."""
        request = Request(f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()})
        action = self.proxy.decide(request)
        if action.stall:
            self.proxy.ended.wait()
            self._drop()
        elif action.answer:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._refuse(*action.answer)
        elif action.reply is not None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(200, action.reply)
        elif action.cut_body_at == 0:
            self._drop()
        else:
            self._pass_on(action)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # every method of HTTP
            return self.handle_one
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are in `Proxy.lines`."""

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>quotes {SECRET_KEY}</Message></Error>".encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _pass_on(self, action: Action) -> None:
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    upstream.putheader(name, value)
            upstream.endheaders()
            if not self._send_body(upstream, action):
                self._drop()
                return
            answer = upstream.getresponse()
            body = answer.read()
            if action.lose_answer:
                self._drop()
            else:
                self._relay(answer, body, action)
        except (OSError, http.client.HTTPException):
            self._drop()
        finally:
            upstream.close()

    def _send_body(self, upstream: http.client.HTTPConnection, action: Action) -> bool:
        length = int(self.headers.get("Content-Length") or 0)
        left = length if action.cut_body_at is None else min(length, action.cut_body_at)
        while left:
            block = self.rfile.read(min(left, 65536))
            if not block:
                return False
            left -= len(block)
            if action.flip_byte and not left:
                block = block[:-1] + bytes([block[-1] ^ 1])
            upstream.send(block)
        return action.cut_body_at is None

    def _relay(self, answer: http.client.HTTPResponse, body: bytes, action: Action) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(body)))
        self.end_headers()
        self.wfile.write(body if action.cut_answer_at is None else body[: action.cut_answer_at])
        if action.cut_answer_at is not None:
            self.close_connection = True

    def _drop(self) -> None:
        """Reset the connection, as a cable that is pulled out or a load balancer that restarts."""
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
