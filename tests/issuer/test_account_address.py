"""A CA that keeps our account at another address than we hold (RFC 8555 section 7.3.1): found again, or told; never ordered in a loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.errors import IssuanceError
from certbroker.model import RevocationReason
from certbroker.sandbox.ca.books import Account
from certbroker.testkit.simulator import Fault, Request, Response
from tests.issuer.desk import version, wanted
from tests.issuer.test_killed import Deadly, Killed, Scene
from tests.issuer.test_rollover import BASE, SETTINGS, boxes, scene, thumbprint


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path / "one") as made:
        yield made


def move(here: Scene) -> str:
    """The CA keeps it elsewhere from now on; returns where."""
    [account] = here.ca.accounts
    account.id = f"{account.id}0"
    return BASE + account.path


def held(here: Scene) -> str:
    account = here.at.store.account("sandbox", SETTINGS.directory)
    assert account is not None
    return account.uri


def said(here: Scene) -> list[object]:
    return [row.data["what"] for row in here.at.store.history() if row.kind == "account"]


def is_new_account(request: Request) -> bool:
    return request.path == "/new-account"


def test_an_order_finds_the_account_again_and_goes_through_in_the_same_run(here: Scene) -> None:
    there = move(here)
    got = version(here.at.issuer().obtain([wanted()])[0])
    assert got.account_uri == there == held(here)
    assert said(here) == ["found at another address", "made"]
    assert here.ca.new_orders == 1
    assert len(here.ca.accounts) == 1


def test_several_orders_find_it_once(here: Scene) -> None:
    move(here)
    requests = [wanted(f"{n}.example.com", certificate=f"c{n}") for n in range(5)]
    for outcome in here.at.issuer().obtain(requests):
        version(outcome)
    assert said(here) == ["found at another address", "made"]
    assert here.ca.new_orders == 5


def test_what_was_ordered_before_belongs_to_it_still(here: Scene) -> None:
    """A renewal tells the CA what it replaces, which only the account that got it may say."""
    first = version(here.at.issuer().obtain([wanted()])[0])
    here.at.world.clock.sleep(3600)
    there = move(here)
    here.at.issuer().check()
    known = here.at.store.version(first.id)
    assert known is not None
    assert known.account_uri == there
    version(here.at.issuer().obtain([wanted(replaces=known)])[0])
    assert here.ca.orders[-1].replaces == here.ca.find(first.fingerprint).cert_id


def test_an_order_left_behind_goes_on_under_the_new_address(here: Scene) -> None:
    for number in (4, 5, 6):
        here.at.transport = Deadly(here.ca, here.network, number, "after")
        with pytest.raises(Killed):
            here.at.issuer().obtain([wanted()])
        here.network.forbidden = False
    move(here)
    here.live()
    assert here.ca.new_orders == 1
    assert len(here.ca.issued) == 1


@pytest.mark.parametrize("act", ["check", "account_status", "roll_over", "deactivate"])
def test_every_question_finds_it(here: Scene, act: str) -> None:
    there = move(here)
    before = thumbprint(here)
    getattr(here.at.issuer(), act)()
    assert (thumbprint(here) != before) == (act == "roll_over")
    if act == "deactivate":
        assert here.ca.accounts[0].status == "deactivated"
        assert boxes(here) == []
    else:
        assert held(here) == there
        assert boxes(here) == ["account"]


def test_a_revocation_finds_it(here: Scene) -> None:
    got = version(here.at.issuer().obtain([wanted()])[0])
    there = move(here)
    assert here.at.issuer().revoke(got, RevocationReason.SUPERSEDED)
    assert held(here) == there


def test_an_address_that_was_wrong_from_the_start_is_put_right_by_the_first_order(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as here:
        here.at.store.forget_account("sandbox", SETTINGS.directory, [])  # its key stays sealed
        lie = Response.of(201, {"status": "valid"}, Location=f"{BASE}/acct/somebody-else")
        here.ca.faults.append(Fault(lie, when="after", matches=is_new_account))
        version(here.at.issuer().obtain([wanted()])[0])
        assert held(here) == BASE + here.ca.accounts[0].path


@pytest.mark.parametrize("place", ["/acct/somebody-else", "/acct/{id}/", "", "gopher://x"])
def test_an_address_at_which_our_key_is_not_taken_is_not_believed(here: Scene, place: str) -> None:
    before, kept = held(here), boxes(here)
    here.ca.accounts[0].id += "0"
    location = place if "://" in place or not place else BASE + place
    lie = Response.of(200, {"status": "valid"}, Location=location)
    here.ca.faults.append(Fault(lie, matches=is_new_account, times=1000))
    asked = len(here.ca.requests)
    outcome = here.at.issuer().obtain([wanted()])[0]
    assert isinstance(outcome, IssuanceError)
    assert "certbroker account deactivate sandbox --yes" in (outcome.hint or "")
    assert len(here.ca.requests) - asked < 12
    assert (held(here), boxes(here)) == (before, kept)
    assert here.ca.new_orders == 0
    here.ca.faults.clear()
    version(here.at.issuer().obtain([wanted()])[0])


def test_a_ca_that_has_lost_us_is_told_with_a_way_out_and_the_key_stays(here: Scene) -> None:
    lost: list[Account] = list(here.ca.accounts)
    here.ca.accounts.clear()
    asked = len(here.ca.requests)
    for outcome in here.at.issuer().obtain([wanted(), wanted("b.example.com", certificate="b")]):
        assert isinstance(outcome, IssuanceError)
        assert "certbroker account deactivate sandbox --yes" in (outcome.hint or "")
    assert len(here.ca.requests) - asked < 10
    assert boxes(here) == ["account"]
    here.ca.accounts.extend(lost)  # it comes back, from a backup
    version(here.at.issuer().obtain([wanted()])[0])
    assert here.ca.new_orders == 1
    here.ca.accounts.clear()
    here.at.issuer().deactivate()
    here.at.world.clock.sleep(3600)
    version(here.at.issuer().obtain([wanted()])[0])
    assert len(here.ca.accounts) == 1
