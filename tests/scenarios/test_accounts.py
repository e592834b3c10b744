"""Accounts at the CAs, by command line: bound to one that exists there, shown, changed, ended, brought along."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.town import Town, town

HMAC = base64.urlsafe_b64encode(b"a key that no message may ever hold").decode()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """The second CA takes only accounts that are bound, and the file has what it takes."""
    with town(tmp_path / "town", second_ca=True) as made:
        made.configure(certificates=made.certificate(targets=("folder",)))
        made.ca2.books.eab_keys["kid-1"] = HMAC
        made.ca2.books.eab_required = True
        made.edit("[issuer.second]", '[issuer.second]\neab = { kid = "kid-1", hmac = { env = "EAB" } }')
        made.environ["EAB"] = HMAC.rstrip("=")
        yield made


def prefer_second(place: Town) -> None:
    place.edit('issuer = ["sandbox", "second"]', 'issuer = ["second"]')


def test_an_account_is_bound_once_and_its_credentials_are_not_read_again(place: Town) -> None:
    prefer_second(place)
    assert "binds it by eab" in place.run("check", "second").out
    place.run("renew")
    assert [account.eab_kid for account in place.ca2.accounts] == ["kid-1"]
    del place.environ["EAB"]
    place.later(hours=1)
    place.run("issue", "main")
    assert len(place.ca2.accounts) == 1
    place.run("check", "second")


def test_config_check_resolves_the_credentials_and_other_commands_do_not(place: Town) -> None:
    place.run("config", "check", "--secrets")
    del place.environ["EAB"]
    missing = place.run("config", "check", "--secrets", ends=2).all
    assert "issuer.second.eab.hmac (certbroker.toml:" in missing
    for argv in (["plan"], ["renew"], ["status"], ["config", "check"]):
        place.run(*argv)


@pytest.mark.parametrize("bad", ["", "%%%", "abcde"])
def test_credentials_that_cannot_be_read_are_told_in_advance_and_nothing_is_ordered(place: Town, bad: str) -> None:
    prefer_second(place)
    place.environ["EAB"] = bad
    checked = place.run("check", "second", ends=1)
    assert "eab.hmac" in checked.all
    ran = place.run("renew", ends=1)
    assert "eab.hmac" in ran.all
    assert not bad or bad not in ran.all + checked.all
    assert place.ca2.new_orders == 0
    assert place.ca2.accounts == []


def test_without_a_binding_a_ca_that_demands_it_is_told_before_anything_is_ordered(place: Town) -> None:
    prefer_second(place)
    place.edit('eab = { kid = "kid-1", hmac = { env = "EAB" } }\n', "")
    for command in ("check", "renew"):
        told = place.run(command, ends=1).all
        assert "takes only accounts with an external account binding" in told
        assert "in [issuer.second]" in told
    assert place.ca2.new_orders == 0


@pytest.mark.parametrize("other_staging", [False, True])
def test_a_rehearsal_of_a_ca_that_binds_needs_credentials_of_its_own_and_says_which(
    tmp_path: Path, other_staging: bool
) -> None:
    """The CA's own test environment comes before any other that the file declares."""
    with town(tmp_path / "town") as place:
        place.configure(certificates=place.certificate(targets=("folder",), issuer='["google"]'))
        place.edit("[issuer.sandbox]", "[issuer.google]\nagree_to_terms = true\n[issuer.sandbox]")
        if other_staging:
            place.edit(
                "[issuer.sandbox]", "[issuer.google-test]\nagree_to_terms = true\n[issuer.sandbox]\nstaging = true"
            )
        names = {name: f"{place.house.urls['ca']}/{name}" for name in ("newNonce", "newAccount", "newOrder")}
        with place.store() as store:
            store.put_directory(
                "https://dv.acme-v02.test-api.pki.goog/directory", {**names, "meta": {"externalAccountRequired": True}}
            )
        told = place.run("issue", "main", "--staging", ends=1).all
        assert "google-test takes only accounts with an external account binding" in told
        assert "preprod-publicca.googleapis.com" in told
        assert "in [issuer.google-test]" in told
        assert place.orders == 0


def test_an_action_that_the_ca_wants_is_told_with_its_address(place: Town) -> None:
    problem = {
        "type": "urn:ietf:params:acme:error:userActionRequired",
        "detail": "Terms of service have changed",
        "instance": "https://ca.example/acme/agreement/?token=W8Ih3PswD-8",
    }
    answer = Response.of(403, problem, kind="application/problem+json")
    place.ca.faults.append(Fault(answer, matches=lambda request: request.path == "/new-order"))
    told = place.run("renew", ends=1).all
    assert "https://ca.example/acme/agreement/?token=W8Ih3PswD-8" in told
    assert "Terms of service have changed" in told
