"""What happened to the first user, as the command line would have it now."""

from __future__ import annotations

from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.town import Town


def test_one_night_four_places(place: Town) -> None:
    """One order; Fastly and both Fly apps proven by handshake; the folder delivered, never called served."""
    ran = place.run("renew")
    assert place.orders == 1
    assert "fastly" in ran.out
    assert "edges serve v1" in ran.out
    assert "v1 delivered; nobody can look" in ran.out
    with place.store() as store:
        phases = {(row.target, row.name): row.phase.value for row in store.deployments("main")}
    assert {phase for (target, _), phase in phases.items() if target != "folder"} == {"committed"}
    assert {phase for (target, _), phase in phases.items() if target == "folder"} == {"delivered"}
    seen = place.run("probe", "main")
    assert "v1" in seen.out
    pushes = place.pushes()
    place.later(hours=1)
    again = place.run("renew")
    assert len(again.out.strip().splitlines()) == 1
    assert again.out.startswith("nothing due")
    assert place.orders == 1
    assert place.pushes() == pushes


def test_the_key_is_already_at_fastly(place: Town) -> None:
    """A push whose answers got lost is pushed again: Fastly says `Key already exists`, and the run succeeds."""
    fastly = place.platform("fastly")
    fastly.faults.append(
        Fault(
            Response.html(502, "Bad Gateway"),
            when="after",
            times=1,
            matches=lambda r: r.write and r.path.endswith("/private_keys"),
        )
    )
    place.run("renew", ends=1)
    place.run("renew")
    assert place.orders == 1


def test_the_platforms_get_pkcs8_and_the_whole_chain(place: Town) -> None:
    place.run("renew")
    sent = [r.json() for kind in ("fastly", "fly") for r in place.platform(kind).requests if r.write]
    text = [str(body) for body in sent if "PRIVATE KEY" in str(body)]
    assert text
    assert all("BEGIN PRIVATE KEY" in body for body in text)
    chains = [body["fullchain"] for body in sent if isinstance(body, dict) and "fullchain" in body]
    assert chains
    assert all(chain.count("BEGIN CERTIFICATE") >= 2 for chain in chains)


def test_a_revoked_dns_token_is_told_within_a_day(place: Town) -> None:
    """Sixty days before anything is due, the daily check inside `renew` says so; `status` shows it without the network."""
    place.run("renew")
    place.house.dnsimple.tokens.clear()
    for _ in range(25):
        place.later(hours=1)
        ran = place.run("renew", ends=None)
        if ran.code:
            break
    assert ran.code == 1
    assert "dnsimple" in ran.err
    assert "hint:" in ran.err
    contacts = len(place.network.contacts)
    status = place.run("status", ends=1)
    assert "solver dnsimple" in status.out
    assert len(place.network.contacts) == contacts


def test_blue_green_pushes_the_present_version_without_an_order(place: Town) -> None:
    """A target added later gets what stands; it is proven on its own addresses while DNS points elsewhere."""
    place.configure(certificates=place.certificate(targets=("fastly", "fly-blue")))
    place.run("renew")
    requests = len(place.ca.requests)
    place.configure(certificates=place.certificate(targets=("fastly", "fly-blue", "fly-green")))
    assert "fly-green" in place.run("plan").out
    ran = place.run("renew")
    assert "fly-green" in ran.out
    assert "edges serve v1" in ran.out
    assert len(place.ca.requests) == requests


def test_a_stale_delegation_is_named_before_any_order(place: Town) -> None:
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    ran = place.run("renew", ends=1)
    assert place.orders == 0
    assert "Fly" in ran.err
    assert "_acme-challenge.example.com" in ran.err
    checked = place.run("check", "main", ends=1)
    assert "held by Fly" in checked.all or "Fly" in checked.all


def test_a_name_that_waits_for_ownership_holds_up_nobody(place: Town) -> None:
    """Fly wants a proof for one app; the others are done; exit 3 and the exact record."""
    place.edit('ownership = "publish"', 'ownership = "print"')
    ran = place.run("renew", ends=3)
    assert "_fly-ownership.example.com.  TXT" in ran.err
    assert "wait:" in ran.err
    with place.store() as store:
        phases = {row.target: row.phase.value for row in store.deployments("main")}
    assert phases["fastly"] == "committed"
    assert phases["fly-blue"] == "waiting"
    place.edit('ownership = "print"', 'ownership = "publish"')
    place.run("renew")
    with place.store() as store:
        assert {row.phase.value for row in store.deployments("main")} == {"committed", "delivered"}
    assert place.orders == 1


def test_many_vanity_domains_stand_in_one_table(place: Town) -> None:
    names = ", ".join(f'"{each}.example.com"' for each in ("podcast", "radio", "news", "jobs"))
    vanity = f'\n[certificate.vanity]\neach = [{names}]\nnames = ["{{each}}", "www.{{each}}"]\ntargets = ["fly-blue"]\n'
    place.configure(certificates=vanity)
    place.run("renew")
    assert place.orders == 4
    out = place.run("status").out
    assert all(f"{each}.example.com" in out for each in ("podcast", "radio", "news", "jobs"))
