"""Every way to prove control of a name, through the command line."""

from __future__ import annotations

import functools
import http.server
import random
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from certbroker.sandbox.house import Sandbox
from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.town import Town
from tests.scenarios.victim import Job, SharedClock, Victims
from tests.servers.loopback import Quiet, serving

FOLDER = ".well-known/acme-challenge"


def test_dns_account_01_proves_a_name_whose_plain_label_another_platform_holds(place: Town) -> None:
    """The very case it exists for: `_acme-challenge` stays a CNAME to Fly, and nobody minds."""
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-account-01"'))
    assert "known once there is an account" in place.run("check", "main").out
    place.run("renew")
    assert place.orders == 1
    with place.store() as store:
        account = store.account("sandbox", f"{place.house.urls['ca']}/dir")
        assert store.unremoved() == []
    assert account is not None
    written = [r for r in place.house.dnsimple.requests if r.write and "records" in r.path and r.method == "POST"]
    assert written
    assert all("._acme-challenge" in r.json()["name"] for r in written)
    assert "proven in example.com by dnsimple" in place.run("check", "main").out


def test_an_unknown_challenge_is_told_with_the_nearest(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-acount-01"'))
    ran = place.run("plan", ends=2)
    assert "certificate.main.challenge: must be dns-01" in ran.err
    assert "did you mean dns-account-01?" in ran.err


# ---- http-01 -----------------------------------------------------------------------------------------------------------


def over_http(place: Town, solver: str, *names: str) -> None:
    """A certificate proven by http-01, and no solver but this one."""
    names = names or ("example.com", "www.example.com")
    place.configure(certificates=place.certificate(names=names, targets=("folder",), challenge='"http-01"'))
    text = (place.folder / "certbroker.toml").read_text()
    start, end = text.index("[solver.dnsimple]"), text.index("[network]")
    (place.folder / "certbroker.toml").write_text(f"{text[:start]}[solver.web]\n{solver}\n\n{text[end:]}")
    for name in names:
        place.house.dns.set(name, "A", "127.0.0.1")


def answered(place: Town) -> set[str]:
    """The tokens that the CA asked for and was given: those of valid challenges."""
    found = [c for a in place.ca.books.authorizations for c in a.challenges if c.status == "valid"]
    assert {challenge.type for challenge in found} == {"http-01"}
    return {challenge.token for challenge in found}


@pytest.fixture
def port(place: Town) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place.house.web.port = int(probe.getsockname()[1])
    return place.house.web.port


class OfTheOwner(Quiet, http.server.SimpleHTTPRequestHandler):
    """A web server of the owner's own."""


@contextmanager
def served(folder: Path) -> Iterator[int]:
    folder.mkdir(exist_ok=True)
    with serving(functools.partial(OfTheOwner, directory=str(folder))) as port:
        yield port


def test_http_01_by_a_server_of_our_own_that_is_there_only_during_the_run(place: Town, port: int) -> None:
    over_http(place, f'type = "http-server"\nlisten = "127.0.0.1:{port}"')
    assert f"listens at 127.0.0.1:{port}" in place.run("check", "main").out
    ran = place.run("renew")
    assert "1 ordered" in ran.out
    assert len(answered(place)) == 2
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))
    assert place.house.dnsimple.requests == []


def test_a_port_that_is_taken_stops_the_run_before_any_order(place: Town, port: int) -> None:
    over_http(place, f'type = "http-server"\nlisten = "127.0.0.1:{port}"')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        ran = place.run("renew", ends=1)
        assert f"another program listens at 127.0.0.1:{port}" in ran.err
        assert place.orders == 0
        assert "another program listens" in place.run("check", "main", ends=1).err
    place.later(hours=2)
    place.run("renew")
    assert place.orders == 1


def test_http_01_by_a_folder_leaves_nothing_of_ours_in_it(place: Town) -> None:
    over_http(place, 'type = "webroot"\nfolder = "www"')
    assert "is not a folder" in place.run("check", "main", ends=1).err
    with served(place.folder / "www") as place.house.web.port:
        place.run("check", "main")
        place.run("renew")
    assert len(answered(place)) == 2
    assert list((place.folder / "www" / FOLDER).iterdir()) == []


def test_http_01_handed_to_the_target_that_serves_the_name(place: Town) -> None:
    over_http(place, 'type = "target"\ntarget = "folder"')
    ran = place.run("renew", ends=1)
    assert "the target folder cannot answer http-01: it has no webroot" in ran.err
    assert place.orders == 0
    place.edit('type = "files"', 'type = "files"\nwebroot = "www"')
    with served(place.folder / "www") as place.house.web.port:
        place.run("renew", "main")
    assert len(answered(place)) == 2
    assert list((place.folder / "www" / FOLDER).iterdir()) == []


def test_an_answer_that_the_ca_does_not_find_is_told_in_its_words(place: Town) -> None:
    over_http(place, 'type = "webroot"\nfolder = "www"', "example.com")
    (place.folder / "www").mkdir()
    with served(place.folder / "another") as place.house.web.port:
        ran = place.run("renew", ends=1)
    assert "Invalid response from http://example.com/.well-known/acme-challenge/" in ran.err
    assert ": 404" in ran.err
    assert "hint: the CA must find our answer" in ran.err


def test_what_a_killed_run_left_in_the_folder_is_removed_by_the_next_and_nothing_else(
    tmp_path: Path, victims: Victims
) -> None:
    folder = tmp_path / "town"
    folder.mkdir()
    clock = SharedClock(folder / "clock")
    with Sandbox(clock=clock, rng=random.Random(7)) as house:
        place = Town(folder, house, clock)
        over_http(place, 'type = "webroot"\nfolder = "www"', "example.com")
        place.init()
        with served(folder / "www") as house.web.port:
            place.ca.faults.append(Fault(victims.kill, matches=lambda r: r.path.startswith("/chall/")))
            argv = ("--config", str(folder / "certbroker.toml"), "renew")
            ended = victims.run(Job(argv, str(folder), place.environ, str(clock.path), seed=1))
            place.ca.faults.clear()
            assert ended.killed
            left = list((folder / "www" / FOLDER).iterdir())
            assert len(left) == 1
            theirs = folder / "www" / FOLDER / "theirs"
            theirs.write_text("somebody else's")
            with place.store() as kept:
                assert [(row.kind, row.name) for row in kept.unremoved("challenge")] == [("http", "example.com")]
            place.later(hours=7)
            with closing(sqlite3.connect(folder / "state" / "store.db")) as store, store:  # the dead run's has expired
                store.execute("UPDATE lease SET expires = '2001-01-01 00:00:00.000000'")
            place.run("renew")
        assert list((folder / "www" / FOLDER).iterdir()) == [theirs]
        assert len(place.ca.issued) == 1
        with place.store() as kept:
            assert kept.unremoved("challenge") == []


# ---- what a person publishes once --------------------------------------------------------------------------------------


def published_by_hand(place: Town, line: str) -> None:
    """The record as it was told, copied into the zone."""
    name, kind, value = (part.strip() for part in line.split("  ", 2))
    place.house.dns.set(name.removesuffix("."), kind, value.replace('" "', "").strip('"'))


def told(err: str) -> str:
    return next(line for line in err.splitlines() if "publish " in line).split("publish ", 1)[1]


def test_dns_persist_01_waits_for_the_record_and_then_needs_no_one(place: Town) -> None:
    """Without a solver in the file: no right to write DNS is needed for it, ever."""
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-persist-01"'))
    text = (place.folder / "certbroker.toml").read_text()
    start, end = text.index("[solver.dnsimple]"), text.index("[network]")
    (place.folder / "certbroker.toml").write_text(text[:start] + text[end:])
    ran = place.run("renew", ends=3)
    assert place.orders == 0
    assert "wait: main: " in ran.err
    assert "nothing due" not in ran.out
    record = told(ran.err)
    assert record.startswith('_validation-persist.example.com.  TXT  "sandbox.certbroker.test; accounturi=http')
    assert record.endswith('policy=wildcard"')
    assert record in place.run("status", ends=None).out
    place.later(hours=1)
    assert told(place.run("renew", ends=3).err) == record
    name, value = "_validation-persist.example.com", record.split("TXT  ")[1].strip('"')
    place.house.dns.set(name, "TXT", value.removesuffix("; policy=wildcard"))
    assert "lacks policy=wildcard" in place.run("check", "main", ends=1).err
    published_by_hand(place, record)
    assert "proven by a record that stands" in place.run("check", "main").out
    place.later(hours=1)
    place.run("renew")
    assert place.orders == 1
    assert place.house.dnsimple.requests == []
    place.later(hours=1)
    place.run("renew")
    place.run("status")


def test_an_alias_zone_waits_for_its_cname_and_then_takes_every_proof(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), alias='"validation.example.com"'))
    ran = place.run("renew", ends=3)
    record = told(ran.err)
    assert record == "_acme-challenge.example.com.  CNAME  example.com.validation.example.com."
    assert place.orders == 0
    published_by_hand(place, record)
    place.later(hours=1)
    place.run("renew")
    written = [r.json()["name"] for r in place.house.dnsimple.requests if r.method == "POST" and "records" in r.path]
    assert set(written) == {"example.com.validation"}


# ---- looking ahead -----------------------------------------------------------------------------------------------------


def by_record(place: Town) -> dict[str, tuple[str, str]]:
    found = place.run("challenges", "main", "--json", ends=None).json
    return {each["record"]: (each["state"], each["what"]) for each in found["records"]}


def test_challenges_tells_every_record_once_and_how_it_stands_without_vault_or_token(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-persist-01"'))
    place.environ.clear()
    (place.folder / "vault.key").rename(place.folder / "elsewhere.key")
    ran = place.run("challenges", "main", ends=3)
    assert "certbroker renew main makes it" in ran.out
    assert place.ca.accounts == []
    (place.folder / "elsewhere.key").rename(place.folder / "vault.key")
    place.run("renew", ends=3)
    (place.folder / "vault.key").unlink()
    ran = place.run("challenges", "main", ends=3)
    permission, caa, wild = (line.strip() for line in ran.out.splitlines() if line.startswith("     "))
    assert permission.startswith("_validation-persist.example.com.  TXT  ")
    uri = permission.split("accounturi=")[1].split(";")[0]
    assert (
        caa
        == f'example.com.  CAA  0 issue "sandbox.certbroker.test; accounturi={uri}; validationmethods=dns-persist-01"'
    )
    assert wild == caa.replace("0 issue ", "0 issuewild ")
    assert by_record(place)[permission] == ("wait", "no record there names this CA")
    assert by_record(place)[caa] == ("none", "no CAA restricts example.com")
    published_by_hand(place, permission)
    place.house.dns.set("example.com", "CAA", *(line.split("  CAA  ")[1] for line in (caa, wild)))
    assert {state for state, _ in by_record(place).values()} == {"ok"}
    assert "nothing has to be created" in place.run("challenges", "main").out
    place.house.dns.set("_validation-persist.example.com", "TXT", "sandbox.certbroker.test; accounturi=https://old/1")
    assert "the record is for the account https://old/1" in place.run("challenges", "main", ends=1).out


def test_challenges_tells_who_holds_a_delegation(place: Town) -> None:
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    ran = place.run("challenges", "main", ends=1)
    assert "delegation: held by Fly" in ran.out
    place.configure(certificates=place.certificate(targets=("folder",), alias='"v.example.com"'))
    ran = place.run("challenges", "main", ends=1)
    assert "_acme-challenge.example.com.  CNAME  example.com.v.example.com." in ran.out
    assert "held by Fly, and not to example.com.v.example.com" in ran.out
    place.house.dns.remove("_acme-challenge.example.com", "CNAME")
    place.run("challenges", "main", ends=3)
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.v.example.com.")
    place.run("challenges", "main")


def test_plan_shows_caa_that_forbids_the_method_and_renew_orders_nothing(place: Town) -> None:
    record = '0 issue "sandbox.certbroker.test; validationmethods=http-01"'
    place.house.dns.set("example.com", "CAA", record)
    ran = place.run("plan", ends=1)
    assert "fail hold    order" in ran.out
    assert (
        "sandbox would refuse it: CAA at example.com forbids it: only validation by http-01, and we use dns-01"
        in ran.out
    )
    assert "0 orders, 0 pushes" in ran.out
    contacts = len(place.network.contacts)
    assert "1 order" in place.run("plan", "--offline").out
    assert len(place.network.contacts) == contacts
    place.run("renew", ends=1)
    assert place.orders == 0
    place.house.dns.set("example.com", "CAA", record.replace("http-01", "dns-01"))
    assert "1 order" in place.run("plan", "main").out


def test_a_caa_look_up_that_fails_is_a_remark_of_the_plan_and_no_hold(place: Town) -> None:
    place.house.dns.servfail.add("example.com")
    ran = place.run("plan")
    assert "CAA of example.com cannot be looked up" in ran.out
    assert "1 order" in ran.out


def test_plan_shows_a_record_that_a_person_has_to_publish(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), alias='"v.example.com"'))
    ran = place.run("plan")
    assert "wait hold    order" in ran.out
    assert "hint:   publish _acme-challenge.example.com.  CNAME  example.com.v.example.com." in ran.out
    assert "0 orders" in ran.out
    assert "not ours" not in ran.out


def test_where_acme_dns_is_all_there_is_a_cname_has_to_lead_there(place: Town) -> None:
    text = (place.folder / "certbroker.toml").read_text()
    start, end = text.index("[solver.dnsimple]"), text.index("[network]")
    solver = """[solver.own]
type = "acme-dns"
api = "https://auth.example.org"
fulldomain = "d420c923.auth.example.org"
subdomain = "d420c923"
username = { env = "USERNAME" }
password = { env = "PASSWORD" }

"""
    (place.folder / "certbroker.toml").write_text(text[:start] + solver + text[end:])
    ran = place.run("challenges", "main", ends=3)
    assert "_acme-challenge.example.com.  CNAME  d420c923.auth.example.org." in ran.out
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "d420c923.auth.example.org.")
    place.run("challenges", "main")


def test_a_certificate_that_waits_for_a_record_is_not_told_to_fail_for_what_failed_before(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.house.dns.set("example.com", "CAA", '0 issue ";"')
    assert "nobody may issue" in place.run("renew", ends=1).err
    place.house.dns.remove("example.com", "CAA")
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-persist-01"'))
    ran = place.run("renew", "main", ends=3)
    assert "nobody may issue" not in ran.err
    assert "_validation-persist.example.com." in ran.err


def test_a_ca_that_is_away_does_not_keep_check_from_its_other_answers(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-persist-01"'))
    place.ca.faults.append(Fault(Response.html(503, "busy"), times=1000))
    ran = place.run("check", ends=None)
    assert "where its proofs stand is not known" in ran.out
    assert "solver" in ran.out
    assert "directory" in place.run("challenges", "main", ends=None).out
