"""Digests of uploads against what a service may report."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.storage.s3_digest import Expected, Part, split


def parts_of(path: Path, data: bytes, part_bytes: int) -> tuple[list[Part], list[bytes], str]:
    """The parts, their bytes, and the SHA256 of all."""
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        whole = hashlib.sha256()
        parts = list(split(descriptor, len(data), part_bytes=part_bytes, whole=whole))
        bodies = []
        for part in parts:
            with part.open() as body:
                body.read(3)
                body.seek(0)
                bodies.append(body.read())
        return parts, bodies, whole.hexdigest()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("size", "part_bytes", "count"), [(0, 5, 1), (1, 5, 1), (5, 5, 1), (6, 5, 2), (3_000_000, 1_400_000, 3)]
)
def test_parts_are_the_file(tmp_path: Path, size: int, part_bytes: int, count: int) -> None:
    data = (b"0123456789" * (size // 10 + 1))[:size]
    parts, bodies, whole = parts_of(tmp_path / "f", data, part_bytes)
    assert b"".join(bodies) == data
    assert [part.number for part in parts] == list(range(1, count + 1))
    assert whole == hashlib.sha256(data).hexdigest()
    assert [part.sha256 for part in parts] == [hashlib.sha256(body).digest() for body in bodies]
    assert [part.md5 for part in parts] == [hashlib.md5(body).digest() for body in bodies]


def test_there_are_never_more_than_ten_thousand_parts(tmp_path: Path) -> None:
    parts, bodies, _ = parts_of(tmp_path / "f", bytes(10_001), 1)
    assert len(parts) == 5_001
    assert {len(body) for body in bodies} == {1, 2}


@pytest.fixture
def whole(tmp_path: Path) -> Expected:
    return Expected.of(6, parts_of(tmp_path / "f", b"abcdef", 6)[0], multipart=False)


@pytest.fixture
def parted(tmp_path: Path) -> Expected:
    return Expected.of(6, parts_of(tmp_path / "f", b"abcdef", 3)[0], multipart=True)


ABCDEF = {
    "ContentLength": 6,
    "ETag": f'"{hashlib.md5(b"abcdef").hexdigest()}"',
    "ChecksumSHA256": b64encode(hashlib.sha256(b"abcdef").digest()).decode(),
}
PARTED = {
    "ETag": f'"{hashlib.md5(hashlib.md5(b"abc").digest() + hashlib.md5(b"def").digest()).hexdigest()}-2"',
    "ChecksumSHA256": b64encode(
        hashlib.sha256(hashlib.sha256(b"abc").digest() + hashlib.sha256(b"def").digest()).digest()
    ).decode()
    + "-2",
}


def test_equal_reports_prove_the_upload(whole: Expected, parted: Expected) -> None:
    for expected, report in ((whole, ABCDEF), (parted, PARTED)):
        assert expected.difference(report) is None
        for name in ("ETag", "ChecksumSHA256"):
            assert expected.proven_by({name: report[name]})


@pytest.mark.parametrize(
    "wrong",
    [{"ContentLength": 7}, {"ETag": f'"{"0" * 32}"'}, {"ChecksumSHA256": "AAAA"}],
    ids=["bytes", "etag", "sha256"],
)
def test_one_difference_is_enough(whole: Expected, wrong: dict[str, Any]) -> None:
    assert next(str(value).strip('"') for value in wrong.values()) in (whole.difference({**ABCDEF, **wrong}) or "")


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"ContentLength": 6},
        {"ETag": '"0123abcd"'},
        {"ETag": f'"{"0" * 32}"', "ServerSideEncryption": "aws:kms"},
        {"ETag": f'"{"0" * 32}-1"'},
    ],
    ids=["nothing", "bytes", "no-md5", "kms", "of-parts"],
)
def test_what_is_no_md5_of_ours_proves_nothing_and_is_no_difference(whole: Expected, report: dict[str, Any]) -> None:
    assert whole.difference(report) is None
    assert not whole.proven_by(report)
