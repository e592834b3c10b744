"""The chain that the file prefers: looked for among the CA's alternates, and never worth losing the default for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.config import IssuerSettings
from certbroker.events import ChainNotOffered
from certbroker.issuer.chains import linked
from certbroker.keys import common_name, read_chain
from certbroker.model import KeyType, Version
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import Fault, Request, Response, SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, version, wanted

BASE = "http://ca.test"
ROOTS = [f"certbroker sandbox root X{number} NOT TRUSTED" for number in (1, 2, 3)]


@dataclass
class Scene:
    """A CA with three chains, and an issuer that prefers one."""

    ca: SandboxCA
    at: Desk

    def one(self, preferred: str | None, key_type: KeyType = KeyType.P256, *, key_of: Version | None = None) -> Version:
        settings = replace(self.at.settings, preferred_chain=preferred)
        request = wanted("example.com", certificate=f"c{len(self.ca.issued)}", key_type=key_type, key_of=key_of)
        return version(self.at.issuer(settings=settings).obtain([request])[0])

    @property
    def downloads(self) -> int:
        return sum(request.path.startswith("/cert/") for request in self.ca.requests)


@pytest.fixture(params=[2, 3, 4], ids=lambda length: f"chains of {length}")
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(
            clock=clock,
            rng=random.Random(7),
            lookup_txt=dns.lookup_txt,
            base_url=BASE,
            chain_length=request.param,
            alternates=2,
        )
        settings = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
        with desk(tmp_path, settings, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield Scene(ca, at)


def top(found: Version) -> str:
    return common_name(read_chain(found.chain_pem)[-1].issuer)


def is_alternate(request: Request) -> bool:
    return request.path.startswith("/cert/") and request.path.count("/") == 3


@pytest.mark.parametrize("key_type", [KeyType.P256, KeyType.RSA2048])
def test_the_chain_is_the_one_that_ends_where_the_file_prefers(scene: Scene, key_type: KeyType) -> None:
    found = scene.one(ROOTS[1], key_type)
    assert (top(found), found.root, found.roots_seen) == (ROOTS[1], ROOTS[1], tuple(ROOTS[:2]))
    assert scene.downloads == 2, "it went on after the first that matched"
    assert scene.at.store.versions("c0")[0] == found


@pytest.mark.parametrize("preferred", [None, ROOTS[0]])
def test_no_alternate_is_asked_for_if_the_default_will_do(scene: Scene, preferred: str | None) -> None:
    found = scene.one(preferred)
    assert (top(found), found.roots_seen) == (ROOTS[0], ())
    assert scene.downloads == 1


def test_a_chain_that_nobody_offers_is_told_with_those_that_exist(scene: Scene) -> None:
    found = scene.one("No Such Root")
    assert top(found) == ROOTS[0]
    assert scene.downloads == 3, "each is asked for once"
    [told] = [event for event in scene.at.told if isinstance(event, ChainNotOffered)]
    assert (told.preferred, told.offered, told.broken) == ("No Such Root", tuple(ROOTS), 0)
    assert [row.kind for row in scene.at.store.history(certificate="c0")].count("chain-not-offered") == 1


@pytest.mark.parametrize(
    "answer",
    [
        Response.html(503, "<html>away</html>"),
        Response(200, b"", {"Content-Type": "application/pem-certificate-chain"}),
        Response(200, "é".encode(), {"Content-Type": "application/pem-certificate-chain"}),
        Response.of(429, {"type": "urn:ietf:params:acme:error:rateLimited"}, kind="application/problem+json"),
    ],
    ids=["away", "empty", "no ASCII", "limited"],
)
def test_a_broken_alternate_loses_neither_the_default_nor_the_next_one(scene: Scene, answer: Response) -> None:
    scene.ca.faults.append(Fault(answer, matches=is_alternate))
    assert top(scene.one(ROOTS[2])) == ROOTS[2]
    scene.ca.faults.append(Fault(answer, matches=is_alternate, times=10))
    assert top(scene.one(ROOTS[2])) == ROOTS[0]
    assert [e.broken for e in scene.at.told if isinstance(e, ChainNotOffered)] == [2]


def test_the_chain_of_another_certificate_is_not_taken_for_an_alternate(scene: Scene) -> None:
    other = scene.one(ROOTS[2])
    answer = Response(200, other.chain_pem.encode(), {"Content-Type": "application/pem-certificate-chain"})
    scene.ca.faults.append(Fault(answer, matches=is_alternate, times=10))
    found = scene.one(ROOTS[2], key_of=other)
    assert found.key_id == other.key_id, "its key alone would tell them apart"
    assert (top(found), found.fingerprint != other.fingerprint) == (ROOTS[0], True)


def test_a_ca_without_alternates_keeps_its_default(scene: Scene) -> None:
    scene.ca.bad.alternates_hidden = True
    assert top(scene.one(ROOTS[1])) == ROOTS[0]
    assert scene.downloads == 1


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ('<http://ca.test/cert/1/1>;rel="alternate"', ["http://ca.test/cert/1/1"]),
        ('<http://ca.test/cert/1/1>; rel="Alternate", <2>;rel=alternate', ["http://ca.test/cert/1/1", "http://ca.test/cert/2"]),
        ('</cert/9>;rel="up alternate",</cert/9>;rel="alternate"', ["http://ca.test/cert/9"]),
        ('<http://ca.test/cert/1>;rel="alternate"', []),
        ('<http://ca.test/dir>;rel="index", <ftp://ca.test/1>;rel="alternate", <http://[>;rel="alternate"', []),
        ("<http://ca.test/2>", []),
    ],
)  # fmt: skip
def test_alternates_are_read_out_of_any_link_header(header: str, found: list[str]) -> None:
    assert linked(header, "http://ca.test/cert/1") == found


@given(st.text(alphabet='<>;=,"\\ abrelatinue/:[].%é', max_size=80))
def test_no_link_header_breaks_the_reading(header: str) -> None:
    assert all(url.startswith("http") for url in linked(header, "http://ca.test/cert/1"))
