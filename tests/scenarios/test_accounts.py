"""Accounts at the CAs, by command line: bound to one that exists there, shown, changed, ended, brought along."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from acme import messages
from acme.client import ClientNetwork, ClientV2

from certbroker.issuer.account_key import algorithm, read
from certbroker.secret import Secret
from certbroker.testkit.simulator import Fault, Response
from tests.issuer.test_account_keys import KEYS, PEMS, pem
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


# ---- the commands ------------------------------------------------------------------------------------------------------


def test_accounts_are_shown_with_what_the_ca_says_of_them(place: Town) -> None:
    assert "none yet; the first order makes one" in place.run("account", "show").out
    place.run("renew")
    place.run("account", "make", "second")
    shown = place.run("account", "show").out
    assert "sandbox  valid" in shown
    assert "ecdsa-p256 key, bound to one at the CA (eab), made Mon 23 Nov 2026" in shown
    found = {one["issuer"]: one for one in place.run("account", "show", "--json").json["accounts"]}
    assert found["sandbox"]["status"] == found["second"]["status"] == "valid"
    assert (found["sandbox"]["bound"], found["second"]["bound"]) == (False, True)
    assert place.run("account", "show", "second").out.count("\n") == 3
    assert "no issuer is called nobody" in place.run("account", "show", "nobody", ends=2).err


def test_offline_no_ca_is_asked_and_no_key_is_needed(place: Town) -> None:
    place.run("renew")
    (place.folder / "vault.key").rename(place.folder / "away.key")
    place.network.forbidden = True
    shown = place.run("account", "show", "--offline").out
    assert "sandbox  not asked" in shown
    assert place.ca.accounts[0].path in shown


def test_an_account_that_the_ca_has_ended_is_a_failure_with_a_way_out(place: Town) -> None:
    place.run("renew")
    place.ca.accounts[0].status = "deactivated"
    shown = place.run("account", "show", ends=1).out
    assert "the account is deactivated" in shown
    assert "hint:" in shown


def test_an_account_that_the_ca_keeps_at_another_address_is_found_there(place: Town) -> None:
    place.run("renew")
    place.ca.accounts[0].id = "moved"
    assert "/acct/moved" in place.run("account", "show", "sandbox").out
    assert "account at sandbox found at another address: http" in place.run("history").out


def test_a_ca_that_has_lost_our_account_is_not_asked_again_and_again(place: Town) -> None:
    prefer_second(place)
    place.run("renew")
    place.ca2.accounts.clear()
    place.later(hours=1)
    told = place.run("issue", "main", ends=1).err
    assert "hint: if that is so for good: certbroker account deactivate second --yes" in told
    assert len(place.ca2.orders) == 1
    place.run("account", "deactivate", "second", "--yes")
    place.run("issue", "main")
    assert len(place.ca2.orders) == 2


def test_credentials_of_the_issuer_that_steps_in_are_used_before_they_lapse(place: Town) -> None:
    assert "certbroker account make second" in place.run("check", "second").out
    place.run("account", "make", "second", "-m", "before they lapse")
    assert place.ca2.accounts[0].eab_kid == "kid-1"
    assert "account make second" not in place.run("check", "second").out
    place.run("account", "make", "second")
    assert len(place.ca2.accounts) == 1
    assert place.orders == 0


def test_a_new_key_signs_and_records_that_name_the_account_stay_right(place: Town) -> None:
    place.run("renew")
    before, uri = place.ca.accounts[0].key.thumbprint(), place.ca.accounts[0].path
    ran = place.run("account", "rollover", "sandbox", "-m", "yearly")
    assert uri in ran.out
    assert place.ca.accounts[0].key.thumbprint() != before
    place.later(hours=1)
    place.run("issue", "main")
    assert len(place.ca.accounts) == 1
    assert "account at sandbox key changed" in place.run("history").out
    place.run("vault", "check")


def test_an_account_is_ended_only_with_a_yes_and_the_next_order_makes_another(place: Town) -> None:
    place.run("renew")
    refused = place.run("account", "deactivate", "sandbox", ends=2)
    assert "--yes" in refused.err
    assert place.ca.accounts[0].status == "valid"
    ran = place.run("account", "deactivate", "sandbox", "--yes")
    assert "main may be ordered there again" in ran.out
    assert place.ca.accounts[0].status == "deactivated"
    assert "there is no account at sandbox yet" in place.run("account", "deactivate", "sandbox", "--yes", ends=2).err
    place.later(hours=1)
    place.run("issue", "main")
    assert [account.status for account in place.ca.accounts] == ["deactivated", "valid"]


def test_an_account_that_was_ended_before_we_heard_of_it_is_forgotten(place: Town) -> None:
    place.run("renew")
    place.ca.accounts[0].status = "deactivated"
    place.run("account", "deactivate", "sandbox", "--yes")
    assert "none yet" in place.run("account", "show", "sandbox").out


def elsewhere(place: Town, text: str, ca: str = "ca") -> str:
    """What another client did: an account with this key; its URI."""
    key = read(Secret(text), "x")
    net = ClientNetwork(key, alg=algorithm(key), user_agent="another client")
    directory = ClientV2.get_directory(f"{place.house.urls[ca]}/dir", net)
    made = ClientV2(directory, net).new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
    return str(made.uri)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("shape", ["pem", "jwk"])
@pytest.mark.parametrize("told", [True, False])
def test_an_account_of_another_client_is_brought_along(place: Town, name: str, shape: str, told: bool) -> None:
    uri = elsewhere(place, PEMS[name])
    text = PEMS[name] if shape == "pem" else read(Secret(PEMS[name]), "x").json_dumps()
    (place.folder / "private_key.json").write_text(text)
    place.run("account", "import", "sandbox", "private_key.json", *(("--uri", uri) if told else ()))
    place.run("renew")
    assert len(place.ca.accounts) == 1
    shown = place.run("account", "show", "sandbox").out
    assert uri in shown
    assert f"{name} key" in shown
    place.run("account", "import", "sandbox", "private_key.json")
    place.run("account", "rollover", "sandbox")


def test_a_key_that_cannot_be_imported_is_told_and_nothing_is_kept(place: Town) -> None:
    cases = {
        "garbage": "not a readable PEM private key",
        pem(KEYS["ecdsa-p256"], passphrase=b"secret"): "protected by a passphrase",
        '{"body": {}, "uri": "x"}': "certbot keeps the key in private_key.json",
        PEMS["ecdsa-p384"]: "knows no account by this key",
    }
    for text, says in cases.items():
        (place.folder / "key").write_text(text)
        assert says in place.run("account", "import", "sandbox", "key", ends=2).err
    (place.folder / "key").write_bytes(b"\xff\xfe\x00")
    assert "no text" in place.run("account", "import", "sandbox", "key", ends=2).err
    (place.folder / "key").write_bytes(b"x" * 70_000)
    assert "larger than any private key" in place.run("account", "import", "sandbox", "key", ends=2).err
    assert "cannot be read" in place.run("account", "import", "sandbox", "absent", ends=2).err
    assert "cannot be read" in place.run("account", "import", "sandbox", ".", ends=2).err
    (place.folder / "key").write_text(PEMS["ecdsa-p256"])
    assert "no issuer is called nobody" in place.run("account", "import", "nobody", "key", ends=2).err
    uri = elsewhere(place, PEMS["rsa-2048"])
    place.run("account", "import", "sandbox", "key", "--uri", uri, ends=1)
    place.run("account", "import", "sandbox", "key", "--uri", "not a uri", ends=2)
    with place.store() as store:
        assert list(store.boxes()) == []
        assert store.accounts() == []


def test_an_account_is_not_put_in_the_place_of_another(place: Town) -> None:
    place.run("renew")
    elsewhere(place, PEMS["ecdsa-p256"])
    (place.folder / "key").write_text(PEMS["ecdsa-p256"])
    refused = place.run("account", "import", "sandbox", "key", ends=2).err
    assert "has an account here already" in refused
    assert "account deactivate sandbox" in refused
    assert "sandbox  valid" in place.run("account", "show", "sandbox").out


def test_a_ca_that_does_not_take_a_kind_of_key_is_told(place: Town) -> None:
    problem = {"type": "urn:ietf:params:acme:error:badSignatureAlgorithm", "detail": "only ES256 here"}
    place.ca.faults.append(
        Fault(Response.of(400, problem, kind="application/problem+json"), matches=lambda r: r.path == "/new-account")
    )
    (place.folder / "key").write_text(PEMS["rsa-2048"])
    assert "only ES256 here" in place.run("account", "import", "sandbox", "key", ends=1).err


def test_an_account_whose_issuer_left_the_file_is_still_shown_and_can_be_ended(place: Town) -> None:
    place.run("renew")
    place.edit("[issuer.sandbox]", "[issuer.elsewhere]")
    place.edit('issuer = ["sandbox", "second"]', 'issuer = ["elsewhere", "second"]')
    assert "not in the file any more" in place.run("account", "show", "sandbox").out
    place.run("account", "deactivate", "sandbox", "--yes")
    assert place.ca.accounts[0].status == "deactivated"
