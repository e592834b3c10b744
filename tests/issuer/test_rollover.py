"""Another key for the account: a run that dies anywhere leaves an account that the next run can use."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings
from certbroker.errors import IssuanceError, LeaseHeld, NothingDone
from certbroker.sandbox.ca import SandboxCA
from certbroker.secret import Secret
from certbroker.testkit.simulator import Fault, Response, SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import desk, own_dns, version, wanted
from tests.issuer.test_account_keys import PEMS, register
from tests.issuer.test_killed import Deadly, Killed, Scene, When
from tests.world import CountingNetwork

BASE = "http://ca.test"
SETTINGS = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
AWAY = Response.html(503, "away")


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """With an account, and nothing else."""
    folder.mkdir()
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        ca.bad.retry_after = None
        with desk(folder, SETTINGS, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            network = at.world.network
            assert isinstance(network, CountingNetwork)
            at.issuer().account()
            yield Scene(ca, dns, network, at)
        assert ca.violations == []


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path / "one") as made:
        yield made


def is_key_change(request: object) -> bool:
    return getattr(request, "path", "") == "/key-change"


def boxes(here: Scene) -> list[str]:
    return sorted(kind for kind, _, _ in here.at.store.boxes() if kind in ("account", "rollover"))


def thumbprint(here: Scene) -> bytes:
    return bytes(here.ca.accounts[0].key.thumbprint())


def status(here: Scene) -> str:
    return here.at.issuer().account_status()


def test_the_key_changes_and_the_account_stays(here: Scene) -> None:
    before, uri = thumbprint(here), here.at.issuer().account()
    assert here.at.issuer().roll_over() == uri
    assert thumbprint(here) != before
    assert boxes(here) == ["account"]
    assert status(here) == "valid"
    version(here.at.issuer().obtain([wanted()])[0])
    assert len(here.ca.accounts) == 1
    rows = here.at.store.history()
    assert [row.data["what"] for row in rows if row.kind == "account"] == ["key changed", "made"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("following", ["rollover", "renew", "check"])
def test_killed_at_any_request_the_next_run_signs_with_the_key_that_the_ca_knows(
    tmp_path: Path, when: When, following: str
) -> None:
    goes_on: dict[str, Callable[[Scene], object]] = {
        "rollover": lambda here: here.at.issuer().roll_over(),
        "renew": lambda here: version(here.at.issuer().obtain([wanted()])[0]),
        "check": lambda here: here.at.issuer().check(),
    }
    sealed_first = 0
    for number in range(1, 12):
        with scene(tmp_path / str(number)) as here:
            before = thumbprint(here)
            here.at.transport = Deadly(here.ca, here.network, number, when)
            try:
                here.at.issuer().roll_over()
                break
            except Killed:
                pass
            if thumbprint(here) != before:
                assert boxes(here) == ["account", "rollover"]
                sealed_first += 1
            here.network.forbidden = False
            here.at.transport = SimulatorTransport(here.ca)
            goes_on[following](here)
            assert status(here) == "valid"
            assert boxes(here) == ["account"]
            assert thumbprint(here) != before
            assert len(here.ca.accounts) == 1
    assert number > 2
    assert sealed_first == (2 if when == "after" else 1)  # until it was seen to take a request by the new key


def test_killed_again_and_again_it_ends_well(here: Scene) -> None:
    deaths = 0
    for number in (2, 3, 2, 1, 3, 1, 2):
        here.at.transport = Deadly(here.ca, here.network, number, "after")
        try:
            here.at.issuer().roll_over()
        except Killed:
            deaths += 1
        here.network.forbidden = False
    assert deaths > 4
    here.at.transport = SimulatorTransport(here.ca)
    assert status(here) == "valid"
    assert boxes(here) == ["account"]


def test_a_ca_that_refuses_keeps_the_old_key_and_nothing_is_left_behind(here: Scene) -> None:
    before = thumbprint(here)
    problem = {"type": "urn:ietf:params:acme:error:badPublicKey", "detail": "no such keys here"}
    here.ca.faults.append(Fault(Response.of(400, problem, kind="application/problem+json"), matches=is_key_change))
    with pytest.raises(IssuanceError, match="no such keys here"):
        here.at.issuer().roll_over()
    assert thumbprint(here) == before
    assert boxes(here) == ["account"]
    assert status(here) == "valid"


def test_a_ca_that_is_away_is_asked_again_by_the_next_run(here: Scene) -> None:
    before = thumbprint(here)
    here.ca.faults.append(Fault(AWAY, matches=is_key_change))
    with pytest.raises(IssuanceError, match="503"):
        here.at.issuer().roll_over()
    assert boxes(here) == ["account", "rollover"]
    version(here.at.issuer().obtain([wanted()])[0])
    assert thumbprint(here) != before
    assert boxes(here) == ["account"]


def test_orders_go_on_with_the_old_key_while_the_ca_cannot_change_it(here: Scene) -> None:
    before = thumbprint(here)
    here.ca.faults.append(Fault(AWAY, matches=is_key_change, times=1000))
    with pytest.raises(IssuanceError, match="503"):
        here.at.issuer().roll_over()
    version(here.at.issuer().obtain([wanted()])[0])
    assert thumbprint(here) == before
    assert boxes(here) == ["account", "rollover"]


def test_a_late_copy_of_the_request_is_found_to_have_arrived(here: Scene) -> None:
    """The CA took it, said nothing, and says to the second one that the old key is not ours."""
    before = thumbprint(here)
    here.ca.faults.append(Fault(AWAY, matches=is_key_change, when="after"))
    with pytest.raises(IssuanceError):
        here.at.issuer().roll_over()
    assert thumbprint(here) != before
    assert status(here) == "valid"


def test_a_run_that_signs_with_the_present_key_is_not_disturbed(here: Scene) -> None:
    with here.at.store.lease("certificate/main", "host-2, run abc"):
        with pytest.raises(NothingDone, match="host-2, run abc works on certificate/main"):
            here.at.issuer().roll_over()
        assert boxes(here) == ["account"]
    here.at.issuer().roll_over()


def test_two_do_not_change_it_at_once(here: Scene) -> None:
    with here.at.store.lease(f"account/sandbox {BASE}/dir", "run abc"), pytest.raises(LeaseHeld):
        here.at.issuer().roll_over()
    assert boxes(here) == ["account"]


def test_a_ca_without_a_place_for_it_is_told(here: Scene) -> None:
    names = {name: f"{BASE}/{path}" for name, path in (("newNonce", "nonce"), ("newAccount", "new-account"))}
    here.at.store.put_directory(SETTINGS.directory, {**names, "newOrder": f"{BASE}/new-order"})
    with pytest.raises(NothingDone, match="offers no way to change an account's key"):
        here.at.issuer().roll_over()
    assert boxes(here) == ["account"]


def test_without_an_account_there_is_nothing_to_change(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as here:
        other = IssuerSettings("other", f"{BASE}/dir", agree_to_terms=True)
        for act in ("roll_over", "deactivate"):
            with pytest.raises(NothingDone, match="there is no account at other yet"):
                getattr(here.at.issuer(settings=other), act)()
        assert len(here.ca.accounts) == 1


def test_an_imported_rsa_account_orders_and_changes_to_another_key(here: Scene) -> None:
    pem = PEMS["rsa-2048"]
    other = IssuerSettings("other", f"{BASE}/dir", agree_to_terms=True)
    with pytest.raises(NothingDone, match="knows no account by this key"):
        here.at.issuer(settings=other).adopt(Secret(pem), "account.key")
    uri = register(here, pem)
    assert here.at.issuer(settings=other).adopt(Secret(pem), "account.key") == uri
    version(here.at.issuer(settings=other).obtain([wanted()])[0])
    assert here.at.issuer(settings=other).roll_over() == uri
    version(here.at.issuer(settings=other).obtain([wanted("b.example.com", certificate="b")])[0])


def test_a_ca_that_shows_no_accounts_says_whose_key_it_is(here: Scene) -> None:
    """RFC 8555 section 7.3.1 is asked of every CA, to show an account is not."""
    before = thumbprint(here)
    hidden = Response.of(405, {"type": "urn:ietf:params:acme:error:malformed", "detail": "no"})
    here.ca.faults.append(
        Fault(hidden, matches=lambda request: getattr(request, "path", "").startswith("/acct/"), times=1000)
    )
    here.at.issuer().roll_over()
    assert thumbprint(here) != before
    assert boxes(here) == ["account"]
    version(here.at.issuer().obtain([wanted()])[0])


def test_a_ca_that_says_yes_and_changes_nothing_costs_no_key(here: Scene) -> None:
    before = thumbprint(here)
    here.ca.faults.append(Fault(Response.of(200, {"status": "valid"}), matches=is_key_change))
    with pytest.raises(IssuanceError, match="said that it changed the account's key, and does not take the new one"):
        here.at.issuer().roll_over()
    assert thumbprint(here) == before
    assert boxes(here) == ["account"]
    assert status(here) == "valid"
