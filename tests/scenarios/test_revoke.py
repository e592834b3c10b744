"""Revoking: by the account or by the certificate's own key; after a compromise a new key is served at once."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from certbroker.keys import public_bytes, read_chain
from certbroker.model import Version
from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.town import Town, town

COMPROMISE = ("--reason", "keyCompromise")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "town") as made:
        made.configure(certificates=made.certificate(targets=("folder", "fastly")))
        made.run("renew")
        made.later(minutes=10)
        yield made


def versions(place: Town) -> dict[str, Version]:
    with place.store() as store:
        return {version.label: version for version in store.versions("main")}


def key_of(version: Version) -> bytes:
    return public_bytes(read_chain(version.chain_pem)[0].public_key())


def signer(place: Town) -> str:
    """Whose key signed the last revocation: `kid` or `jwk`."""
    bodies = [request.body for request in place.ca.requests if request.path == "/revoke-cert"]
    protected = json.loads(bodies[-1])["protected"]
    return "kid" if "kid" in json.loads(base64.urlsafe_b64decode(protected + "==")) else "jwk"


def test_a_compromise_is_answered_with_a_new_key_that_is_served(place: Town) -> None:
    ran = place.run("revoke", "main", *COMPROMISE, "--yes", "-m", "laptop stolen")
    assert "v1" in ran.out
    assert "it is revoked" in ran.out
    first, second = versions(place)["v1"], versions(place)["v2"]
    assert first.compromised
    assert first.revoked_at is not None
    assert place.ca.find(first.fingerprint).reason == 1
    assert key_of(first) != key_of(second)
    assert signer(place) == "kid"
    served = (place.folder / "served" / "main" / "fullchain.pem").read_text()
    assert served == second.chain_pem
    told = place.run("history", "main").out
    assert "v1 revoked by sandbox (keyCompromise), signed by the account: laptop stolen" in told
    place.later(hours=1)
    place.run("renew")
    assert place.orders == 2


def test_another_reason_is_left_to_the_next_renewal_and_that_is_told(place: Town) -> None:
    ran = place.run("revoke", "main", "--reason", "superseded", "--yes")
    assert "edges serve v1" in ran.out
    assert "the next renew replaces it" in ran.out
    assert place.orders == 1
    assert place.ca.issued[0].reason == 4
    assert "it is revoked" in place.run("plan").out
    assert "v1 is revoked since" in place.run("status", ends=1).out
    place.run("renew")
    assert versions(place)["v2"].revoked_at is None
    assert "revoked" not in place.run("status").out


def test_what_is_served_asks_for_a_yes_and_nothing_is_touched_without(place: Town) -> None:
    asked = len(place.ca.requests)
    refused = place.run("revoke", "main", *COMPROMISE, ends=2)
    assert "fastly" in refused.err
    assert "--yes" in refused.err
    assert len(place.ca.requests) == asked
    assert versions(place)["v1"].revoked_at is None


def test_the_certificate_key_signs_where_it_is_asked_for(place: Town) -> None:
    refused = place.run("revoke", "main", "--with-certificate-key", "--yes", ends=2)
    assert "--reason keyCompromise" in refused.err
    place.run("revoke", "main", *COMPROMISE, "--with-certificate-key", "--yes")
    assert signer(place) == "jwk"
    assert place.ca.issued[0].reason == 1
    assert len(place.ca.issued) == 2


def test_an_old_version_is_revoked_without_a_new_order(place: Town) -> None:
    place.run("issue", "main")
    place.later(minutes=10)
    place.run("revoke", "main", "--version", "v1", *COMPROMISE)
    assert place.orders == 2
    assert versions(place)["v1"].compromised
    assert not versions(place)["v2"].compromised


def test_revoked_twice_or_killed_between_the_answer_and_the_store_is_success(place: Town) -> None:
    place.ca.issued[0].revoked_at = place.clock.now()
    ran = place.run("revoke", "main", *COMPROMISE, "--yes")
    assert "the CA had done so before" in ran.out
    assert versions(place)["v1"].compromised
    assert len(place.ca.issued) == 2
    place.run("revoke", "main", "--version", "1", *COMPROMISE)


def forget_account(place: Town) -> None:
    """As after an account was made anew: the one that ordered is not held any more."""
    with closing(sqlite3.connect(place.folder / "state" / "store.db")) as db:
        db.execute("delete from account")
        db.execute("delete from sealed where kind = 'account'")
        db.commit()


def test_where_another_account_ordered_the_certificate_key_signs_a_compromise(place: Town) -> None:
    forget_account(place)
    refused = place.run("revoke", "main", "--reason", "superseded", "--yes", ends=2)
    assert "the account that ordered main v1 is not held here" in refused.err
    assert "--reason keyCompromise" in refused.err
    place.run("revoke", "main", *COMPROMISE, "--yes")
    assert signer(place) == "jwk"
    assert versions(place)["v2"].account_uri != versions(place)["v1"].account_uri


def test_an_issuer_that_left_the_file_is_found_by_what_the_store_knows(place: Town) -> None:
    place.edit("[issuer.sandbox]", "[issuer.elsewhere]")
    place.edit('issuer = "sandbox"', 'issuer = "elsewhere"')
    place.run("revoke", "main", "--reason", "cessationOfOperation", "--yes")
    assert place.ca.issued[0].reason == 5
    assert signer(place) == "kid"
    assert len(place.ca.accounts) == 1


def test_a_certificate_that_left_the_file_can_be_revoked(place: Town) -> None:
    place.configure(certificates=place.certificate("other", names=("other.example.com",), targets=("folder",)))
    ran = place.run("revoke", "main", *COMPROMISE, "--yes", ends=None)
    assert "not in the file any more" in ran.out
    assert versions(place)["v1"].compromised
    assert place.orders == 1


def test_a_ca_that_is_away_or_refuses_leaves_everything_as_it_was(place: Town) -> None:
    place.ca.faults.append(Fault(Response.html(503, "away"), times=1000))
    ran = place.run("revoke", "main", *COMPROMISE, "--yes", ends=1)
    assert "sandbox" in ran.err
    assert versions(place)["v1"].revoked_at is None
    assert "v1 revoked" not in place.run("history").out
    place.ca.faults.clear()
    problem = {"type": "urn:ietf:params:acme:error:badRevocationReason", "detail": "not that one"}
    place.ca.faults.append(
        Fault(Response.of(400, problem, kind="application/problem+json"), matches=lambda r: r.path == "/revoke-cert")
    )
    refused = place.run("revoke", "main", "--reason", "superseded", "--yes", ends=1)
    assert "not that one" in refused.err
    assert "--reason unspecified" in refused.err


def test_a_compromised_version_goes_nowhere_even_while_no_new_one_can_be_had(place: Town) -> None:
    place.ca.faults.append(Fault(Response.html(503, "away"), matches=lambda r: r.path == "/new-order", times=1000))
    place.run("revoke", "main", *COMPROMISE, "--yes", ends=1)
    place.edit('targets = ["folder", "fastly"]', 'targets = ["folder", "fastly", "fly-blue"]')
    pushes = place.pushes()
    for argv in (["push"], ["push", "main"], ["renew"], ["renew", "main"]):
        place.run(*argv, ends=1)
    assert place.pushes() == pushes
    assert "is revoked: it goes nowhere any more" in place.run("push", "main", ends=1).all
    place.ca.faults.clear()
    place.run("renew", "main")
    assert versions(place)["v2"].revoked_at is None
    assert place.pushes() != pushes


@pytest.mark.parametrize("version", ["v0", "v9", "x", "-1", "", "v1; drop", "v" + "9" * 40])
def test_a_version_that_is_none_is_told(place: Town, version: str) -> None:
    asked = len(place.ca.requests)
    place.run("revoke", "main", "--version", version, ends=2)
    place.run("revoke", "nobody", ends=2)
    place.run("revoke", "main", "--reason", "because", ends=2)
    assert len(place.ca.requests) == asked


def test_what_has_ended_is_not_revoked(place: Town) -> None:
    place.later(days=91)
    assert "nothing to revoke" in place.run("revoke", "main", "--yes", ends=2).err


def test_every_version_with_the_same_key_is_compromised_with_it_and_that_key_never_comes_back(place: Town) -> None:
    place.edit("[certificate.main]", '[certificate.main]\nkey_policy = "reuse"')
    place.run("issue", "main")
    place.later(minutes=10)
    assert key_of(versions(place)["v1"]) == key_of(versions(place)["v2"])
    place.run("revoke", "main", *COMPROMISE, "--yes")
    known = versions(place)
    assert known["v1"].compromised
    assert known["v2"].compromised
    assert all(issued.revoked_at is not None for issued in place.ca.issued[:2])
    assert key_of(known["v3"]) != key_of(known["v2"])
    place.later(minutes=10)
    place.run("issue", "main")
    assert key_of(versions(place)["v4"]) == key_of(known["v3"])
