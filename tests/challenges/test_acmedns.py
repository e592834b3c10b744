"""acme-dns, against its simulator: two slots, no delete, and one word for every mistake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from certbroker.challenges.acmedns import AcmeDnsSettings, AcmeDnsSolver
from certbroker.challenges.acmedns_simulator import AcmeDnsSimulator, Registered
from certbroker.errors import CredentialsRejected, Missing, Misunderstood, Rejected, Unavailable
from certbroker.sandbox.dns import DnsServer
from certbroker.testkit.simulator import Request
from tests.challenges.rig import OTHER, THIRD, VALUE, context, small_world, town

ZONE = "auth.example.org"


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with town(ZONE) as server:
        yield server


@pytest.fixture
def cloud(dns: DnsServer) -> AcmeDnsSimulator:
    return AcmeDnsSimulator(ZONE, on_change=lambda zone, name, values: dns.set(name, "TXT", *values))


@pytest.fixture
def mine(cloud: AcmeDnsSimulator) -> Registered:
    return cloud.register()


def ours(tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered, **changed: str) -> AcmeDnsSolver:
    options = {
        "api": f"https://{ZONE}",
        "fulldomain": cloud.fulldomain(mine),
        "subdomain": mine.subdomain,
        "username": {"env": "USERNAME"},
        "password": {"env": "PASSWORD"},
    }
    secrets = {"USERNAME": mine.username, "PASSWORD": mine.password, **changed}
    given = context(small_world(tmp_path), simulator=cloud, dns=dns, secrets=secrets)
    return AcmeDnsSolver.open(AcmeDnsSettings.model_validate(options), given)


def stored(tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, content: Any) -> AcmeDnsSolver:
    (tmp_path / "acme-dns.json").write_text(content if isinstance(content, str) else json.dumps(content))
    settings = AcmeDnsSettings.model_validate({"api": f"https://{ZONE}", "storage": "~/acme-dns.json"})
    return AcmeDnsSolver.open(settings, context(small_world(tmp_path), simulator=cloud, dns=dns))


def test_it_serves_its_own_name_only(tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered) -> None:
    solver = ours(tmp_path, dns, cloud, mine)
    assert solver.zone_for(cloud.fulldomain(mine)) == ZONE
    assert solver.zone_for(f"x.{ZONE}") is None


def test_a_wildcard_and_its_base_fit(tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered) -> None:
    solver, name = ours(tmp_path, dns, cloud, mine), cloud.fulldomain(mine)
    for value in (VALUE, OTHER, VALUE):
        solver.present(ZONE, name, value)
    assert sorted(dns.txt(name)) == [VALUE, OTHER]
    assert len(cloud.writes) == 2, "a repeat would have pushed the other value out"


def test_a_third_value_waits_until_the_first_two_are_done(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered
) -> None:
    solver, name = ours(tmp_path, dns, cloud, mine), cloud.fulldomain(mine)
    handles = {value: solver.present(ZONE, name, value) for value in (VALUE, OTHER)}
    with pytest.raises(Unavailable, match="keeps 2 values"):
        solver.present(ZONE, name, THIRD)
    solver.clean_up(ZONE, name, VALUE, handles[VALUE])
    solver.present(ZONE, name, THIRD)
    assert sorted(dns.txt(name)) == [OTHER, THIRD]


def test_an_ownership_value_does_not_fit(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered
) -> None:
    with pytest.raises(Rejected, match="challenge values only"):
        ours(tmp_path, dns, cloud, mine).present(ZONE, cloud.fulldomain(mine), "app-1;org-2")
    assert cloud.requests == []


def test_a_wrong_password_names_all_that_it_may_be(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered
) -> None:
    with pytest.raises(CredentialsRejected) as caught:
        ours(tmp_path, dns, cloud, mine, PASSWORD="wrong-password-0").present(ZONE, cloud.fulldomain(mine), VALUE)
    assert "allowfrom" in (caught.value.hint or "")
    assert "wrong-password-0" not in repr(caught.value)


def test_an_address_outside_allowfrom_is_refused_the_same(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator
) -> None:
    mine = cloud.register(["192.0.2.0/24"])
    with pytest.raises(CredentialsRejected):
        ours(tmp_path, dns, cloud, mine).present(ZONE, cloud.fulldomain(mine), VALUE)


def test_check_looks_whether_it_is_there(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered
) -> None:
    assert ours(tmp_path, dns, cloud, mine).check().reach == "1 name"
    assert cloud.writes == []


def test_legos_file_of_registrations_is_read(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered
) -> None:
    name = cloud.fulldomain(mine)
    entry = {"username": mine.username, "password": mine.password, "fulldomain": name, "subdomain": mine.subdomain}
    solver = stored(tmp_path, dns, cloud, {"example.com": entry})
    assert solver.zone_for(name) == ZONE
    solver.present(ZONE, name, VALUE)
    assert dns.txt(name) == [VALUE]


def test_the_cname_that_is_still_to_make_is_printed(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, mine: Registered
) -> None:
    name = cloud.fulldomain(mine)
    entry = {"username": "u", "password": "p", "fulldomain": name, "subdomain": mine.subdomain}
    with pytest.raises(Missing, match="does not lead to acme-dns yet") as caught:
        stored(tmp_path, dns, cloud, {"example.com": entry}).zone_for("_acme-challenge.example.com")
    assert caught.value.hint == f"publish once: _acme-challenge.example.com. CNAME {name}."


@pytest.mark.parametrize("content", ["not json", "[]", '{"example.com": {}}', '{"example.com": 3}'])
def test_a_file_of_registrations_that_is_none_is_told(
    tmp_path: Path, dns: DnsServer, cloud: AcmeDnsSimulator, content: str
) -> None:
    with pytest.raises((Misunderstood, Missing), match=r"acme-dns"):
        stored(tmp_path, dns, cloud, content).zone_for("x.example.org")


def test_settings_are_one_registration_or_a_file(tmp_path: Path) -> None:
    for options in ({}, {"storage": "x", "subdomain": "y"}, {"subdomain": "y"}):
        with pytest.raises(ValidationError, match="needs either storage"):
            AcmeDnsSettings.model_validate({"api": f"https://{ZONE}", **options})


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/register", b"", 201, None),
        ("/register", b'{"allowfrom": ["192.0.2.0/24"]}', 201, None),
        ("/register", b"{", 400, "malformed_json_payload"),
        ("/register", b'{"allowfrom": ["x"]}', 400, "invalid_allowfrom_cidr"),
        ("/update", b"{", 401, "forbidden"),
        ("/nothing", b"", 404, None),
    ],
)
def test_the_simulator_answers_as_documented(path: str, body: bytes, status: int, word: str | None) -> None:
    answer = AcmeDnsSimulator().handle(Request("POST", path, (), {}, body))
    assert answer.status == status
    if word is not None:
        assert json.loads(answer.body) == {"error": word}
