"""Names that are not like others: addresses, too many, beyond ASCII, refused."""

from __future__ import annotations

import json
import socket

import pytest
from josepy.json_util import decode_b64jose

from certbroker.keys import leaf_facts, read_chain
from certbroker.sandbox.ca import Problem
from certbroker.sandbox.edge import TlsEdge
from certbroker.secret import Secret
from tests.scenarios.town import Town

NAMES = ("example.com", "127.0.0.1")


@pytest.fixture
def port(place: Town) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place.house.web.port = int(probe.getsockname()[1])
    return place.house.web.port


def addresses(place: Town, port: int, *, profile: str = "shortlived", names: tuple[str, ...] = NAMES) -> None:
    """A certificate for a name and for addresses, proven by http-01."""
    place.configure(certificates=place.certificate(names=names, targets=("folder",), challenge='"http-01"'))
    text = (place.folder / "certbroker.toml").read_text()
    start, end = text.index("[solver.dnsimple]"), text.index("[network]")
    solver = f'[solver.web]\ntype = "http-server"\nlisten = "127.0.0.1:{port}"\n\n'
    (place.folder / "certbroker.toml").write_text(text[:start] + solver + text[end:])
    place.edit('roots = "roots.pem"', f'roots = "roots.pem"\nprofile = "{profile}"')
    place.house.dns.set("example.com", "A", "127.0.0.1")


def orders(place: Town) -> list[dict[str, object]]:
    """What each newOrder asked for."""
    sent = [r for r in place.ca.requests if r.path == "/new-order"]
    return [json.loads(decode_b64jose(json.loads(r.body)["payload"])) for r in sent]


def test_addresses_are_ordered_proven_and_delivered_as_addresses(place: Town, port: int) -> None:
    addresses(place, port)
    place.run("renew")
    [asked] = orders(place)
    assert asked["identifiers"] == [{"type": "dns", "value": "example.com"}, {"type": "ip", "value": "127.0.0.1"}]
    with place.store() as store:
        [version] = store.versions("main")
    assert version.names == NAMES
    assert leaf_facts(read_chain(version.chain_pem)[0]).names == NAMES
    place.later(hours=1)
    assert "nothing due" in place.run("renew").out


def test_an_edge_is_asked_for_an_address_without_a_name(place: Town, port: int) -> None:
    addresses(place, port)
    place.run("renew")
    place.run("export", "--all", "all")
    folder = place.folder / "all" / "main"
    chain, key = (folder / "fullchain.pem").read_text(), Secret((folder / "privkey.pem").read_text())
    with TlsEdge(place.clock) as edge:
        edge.listeners[0].show(chain, key)
        place.edit('type = "files"', f'type = "files"\nedges = ["{edge.address}"]')
        looks = place.run("probe", "main", "--json").json["looks"]
        assert [(look["name"], look["state"]) for look in looks] == [("example.com", "ok"), ("127.0.0.1", "ok")]
        assert [name for _, name in edge.asked] == ["example.com", None]


def test_an_address_under_a_profile_that_signs_none_is_refused_by_name(place: Town, port: int) -> None:
    addresses(place, port, profile="tlsserver")
    assert 'Profile "tlsserver" does not permit ip type identifiers' in place.run("renew", ends=1).err
    assert place.orders == 0


def test_the_profile_is_sent_again_at_every_renewal(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nprofile = "tlsserver"')
    place.run("renew")
    place.later(days=31)
    place.run("renew")
    assert [asked["profile"] for asked in orders(place)] == ["tlsserver", "tlsserver"]


def test_a_profile_that_the_ca_does_not_have_is_told_by_the_plan_and_stops_the_order(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.run("renew")
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nprofile = "tlsservr"')
    planned = place.run("plan", "--offline").out
    assert "sandbox has no profile tlsservr (certbroker.toml:" in planned
    assert "it offered classic, shortlived, tlsserver" in planned
    place.later(days=61)
    assert "no profile 'tlsservr'" in place.run("renew", ends=1).err
    assert place.orders == 1


def test_a_list_that_may_be_split_becomes_certificates_of_their_own_that_stay_what_they_are(place: Town) -> None:
    def configure(*names: str, **more: str) -> None:
        place.configure(certificates=place.certificate(names=names, targets=("folder", "fly-blue"), **more))
        place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nmost_names = 3')

    names = ("example.com", "*.example.com", "a.b.example.com", "c.d.example.com")
    configure(*names)
    assert "certificate.main.names: sandbox takes at most 3 names" in place.run("renew", ends=2).err
    configure(*names, split="true")
    place.run("renew")
    folders = {path.name for path in (place.folder / "served").iterdir()}
    assert folders == {"main-1", "main-2"}
    assert "main-1" in (status := place.run("status").out)
    assert "main-2" in status
    place.later(minutes=10)
    configure(*names, "e.f.example.com", split="true")
    assert "main-2 · c.d.example.com, e.f.example.com" in place.run("plan").out
    place.run("renew")
    with place.store() as store:
        made = {name: [version.names for version in store.versions(name)] for name in ("main-1", "main-2")}
    assert made == {"main-1": [names[:3]], "main-2": [("c.d.example.com", "e.f.example.com"), names[3:]]}


def test_a_name_beyond_ascii_is_ordered_encoded_and_shown_in_both_forms(place: Town) -> None:
    place.configure(certificates=place.certificate(names=("bücher.example.com",), targets=("folder",)))
    assert "xn--bcher-kva.example.com (bücher.example.com)" in place.run("plan").out
    place.run("renew")
    [asked] = orders(place)
    assert asked["identifiers"] == [{"type": "dns", "value": "xn--bcher-kva.example.com"}]
    assert "xn--bcher-kva.example.com (bücher.example.com)" in place.run("explain", "main").out


def test_every_name_that_the_ca_refuses_is_told_and_none_of_the_others(place: Town) -> None:
    names = ("a.example.com", "b.example.com", "c.example.com")
    place.configure(certificates=place.certificate(names=names, targets=("folder",)))
    for name in (names[0], names[2]):
        place.ca.bad.refused_names[name] = Problem("rejectedIdentifier", "a public suffix", status=403)
    ran = place.run("renew", ends=1)
    assert "a.example.com: a public suffix; c.example.com: a public suffix" in ran.err
    assert "b.example.com" not in ran.err
    assert "hint: this CA does not sign this name" in ran.err
