"""Answers that have no end, or do not come to it: a real line to a server that knows no measure."""

from __future__ import annotations

import random
import ssl
import time
from pathlib import Path

import pytest

from certbroker.errors import IssuanceError, IssuerUnavailable, Unavailable
from certbroker.issuer.network import CaNetwork
from certbroker.pacing import Pacer, Rate
from certbroker.sandbox.ca import SandboxCA
from certbroker.session import Session
from certbroker.transport import Transport
from certbroker.world import SystemClock, SystemNetwork
from tests.servers.raw import Raw


def real_line(seconds: float, verify: str | bool = True) -> CaNetwork:
    clock = SystemClock()
    transport = Transport(SystemNetwork())
    return CaNetwork(
        "ca", clock=clock, transport=transport, verify=verify, plain=True, deadline=clock.monotonic() + seconds
    )


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 9999999999\r\n\r\n", b"\r\n", b"Content-Length: -5\r\n\r\n", b"Content-Encoding: gzip\r\n\r\n"],
)
def test_an_answer_without_end_is_cut_off_at_a_mebibyte(head: bytes) -> None:
    server = Raw(HEAD + head, forever=b" " * 65536)
    with server as url:
        with pytest.raises(IssuanceError, match="ca answered its directory with more than 1 MiB"):
            real_line(30).read(f"{url}/dir", "its directory")
        assert server.sent < 8 << 20  # what the kernel's buffers on both sides may hold besides


def test_chunks_without_end_are_cut_off_too() -> None:
    chunked, chunk = b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"
    with Raw(HEAD + chunked, forever=chunk) as url, pytest.raises(IssuanceError, match="more than 1 MiB"):
        real_line(30).read(f"{url}/dir", "its directory")


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}",
    ],
)
def test_an_answer_that_breaks_off_is_a_line_that_broke(body: bytes) -> None:
    with Raw(HEAD + body) as url, pytest.raises(IssuerUnavailable, match="cannot be reached"):
        real_line(30).read(f"{url}/dir", "its directory")


DRIPS = {
    "in its body": (HEAD + b"Content-Length: 1000\r\n\r\n", b" "),
    "in its first line": (b"", b"H"),
    "in a header": (HEAD + b"X-Long: ", b"x"),
    "in what comes before it": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "in the length of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}
"""What is sent at once, and what then comes for ever. Each byte comes within every time limit of its own."""


@pytest.mark.parametrize("where", DRIPS)
def test_an_answer_that_drips_ends_at_the_deadline(where: str) -> None:
    start, drop = DRIPS[where]
    with Raw(start, pause=0.05, forever=drop) as url:
        began = time.monotonic()
        with pytest.raises(IssuerUnavailable, match=r"its directory in time\Z"):
            real_line(0.5).read(f"{url}/dir", "its directory")
        assert time.monotonic() - began < 20


def test_tls_is_no_different(tmp_path: Path) -> None:
    authority = SandboxCA(clock=SystemClock(), rng=random.Random(7), lookup_txt=lambda name: [])
    chain, key = authority.issue_directly("127.0.0.1")
    (tmp_path / "pair.pem").write_text(chain + key.reveal())
    (tmp_path / "roots.pem").write_text(authority.roots_pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "pair.pem")
    line = real_line(1.0, verify=str(tmp_path / "roots.pem"))
    with (
        Raw(HEAD + b"X-Long: ", pause=0.05, forever=b"x", tls=tls) as url,
        pytest.raises(IssuerUnavailable, match="in time"),
    ):
        line.read(f"{url}/dir", "its directory")


@pytest.mark.parametrize("where", DRIPS)
def test_a_platform_that_drips_is_left_at_its_time_too(where: str) -> None:
    start, drop = DRIPS[where]
    clock = SystemClock()
    with Raw(start, pause=0.05, forever=drop) as url:
        began = clock.monotonic()
        transport = Transport(SystemNetwork())
        session = Session("Cloud", url, transport, clock, began + 0.5, Pacer(clock, Rate(100, 1)))
        with pytest.raises(Unavailable, match=r"Cloud did not answer GET /things in time"):
            session.call("GET", "/things")
        assert clock.monotonic() - began < 20


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 999 What\r\n",
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nX: \xff\r\n",
        b"SSH-2.0-x\r\n",
        b"\xff\xff",
    ],
)
def test_what_is_hardly_http_is_an_error_of_ours(head: bytes) -> None:
    with Raw(head + b"Content-Length: 0\r\n\r\n") as url, pytest.raises(IssuanceError):
        real_line(5).read(f"{url}/dir", "its directory").object()
