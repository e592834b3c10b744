"""The limits of a CA: what an order takes of them is told before, what can wait is spread, and a 429 is honoured to the second."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from certbroker.model import KeyType
from certbroker.store import NewOrderRow
from certbroker.testkit.simulator import Fault, Request, Response
from tests.dashboard.served import dashboard
from tests.scenarios.town import Town, town


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "town", second_ca=True) as made:
        yield made


def several(place: Town, count: int, *, both: bool = False) -> None:
    """So many certificates of one domain, at a CA that publishes what Let's Encrypt does."""
    place.configure(
        certificates="".join(
            place.certificate(
                f"c{n:02d}",
                names=(f"n{n}.example.com",),
                targets=("folder",),
                issuer='["sandbox", "second"]' if both else '"sandbox"',
            )
            for n in range(count)
        )
    )
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nlimits = "letsencrypt"')


def new_orders(requests: list[Request]) -> int:
    return sum(request.path == "/new-order" for request in requests)


def test_the_plan_shows_what_it_costs_and_what_is_left(place: Town) -> None:
    several(place, 9)
    cost = "Limits: 9 of 300 orders in 3 h, 9 of 50 per domain in a week (example.com)."
    assert cost in place.run("plan").out
    guess = "Limits: 9 of 300 orders in 3 h, 9 of 50 per domain in a week (example.com, a guess)."
    assert guess in place.run("plan", "--offline").out
    assert "per domain" in place.run("plan", "--json").json["limits"]["sandbox"]
    place.run("renew")
    several(place, 10)
    assert "10 of 300 orders in 3 h, 10 of 50 per domain" in place.run("plan", "--offline").out


def test_a_run_leaves_the_reserve_alone_and_the_rest_comes_later(place: Town) -> None:
    several(place, 47)
    place.run("plan")
    ran = place.run("renew")
    assert "2 too early to order" in ran.out
    assert "50 certificates for example.com in a week" in ran.out
    assert len(place.ca.issued) == 45
    place.run("renew")
    assert len(place.ca.issued) == 45
    assert "hold" in place.run("plan", "--offline").out
    place.later(hours=3, minutes=22)  # one comes back every 202 minutes
    place.run("renew")
    assert len(place.ca.issued) == 46
    place.run("issue", "c46", "-m", "it cannot wait")
    assert len(place.ca.issued) == 47


def test_a_limit_of_the_account_is_knocked_at_once_and_honoured_to_the_second_for_all(place: Town) -> None:
    several(place, 4)
    place.ca.bad.rate_limited = 1000
    place.ca.bad.rate_limit_seconds = 5400
    ran = place.run("renew", ends=1)
    assert "too many new orders recently" in ran.err
    assert new_orders(place.ca.requests) == 1
    asked = len(place.ca.requests)
    place.ca.bad.rate_limited = 0
    place.later(seconds=5399)
    place.run("renew", ends=1)
    assert len(place.ca.requests) == asked
    place.later(seconds=1)
    place.run("renew")
    assert len(place.ca.issued) == 4


def test_an_answer_that_lost_its_header_is_read_for_the_moment_it_names(place: Town) -> None:
    several(place, 1)
    when = place.clock.now() + timedelta(seconds=5400)
    said = (
        "too many new orders (300) from this account in the last 3h0m0s, retry after "
        f"{when:%Y-%m-%d %H:%M:%S} UTC: see https://letsencrypt.org/docs/rate-limits/#new-orders-per-account"
    )
    limited = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": said}
    place.ca.faults.append(Fault(Response.of(429, limited), matches=lambda r: r.path == "/new-order"))
    place.run("renew", ends=1)
    asked = len(place.ca.requests)
    place.later(seconds=5399)
    place.run("renew", ends=1)
    assert len(place.ca.requests) == asked
    place.later(seconds=1)
    place.run("renew")


def test_where_the_account_is_limited_the_second_ca_takes_all_of_them(place: Town) -> None:
    several(place, 3, both=True)
    place.ca.bad.rate_limited = 1000
    place.run("renew")
    assert new_orders(place.ca.requests) == 1
    assert len(place.ca2.issued) == 3
    place.configure(
        certificates=place.certificate(
            "late", names=("late.example.com",), targets=("folder",), issuer='["sandbox", "second"]'
        )
    )
    assert "sandbox limits us" in place.run("plan", "--offline").out
    place.run("renew", "late")
    assert new_orders(place.ca.requests) == 1
    assert len(place.ca2.issued) == 4


def test_a_503_that_asks_for_patience_is_no_busy_loop(place: Town) -> None:
    several(place, 1)
    place.ca.bad.rate_limited = 3
    place.ca.bad.rate_limit_seconds = 20
    place.run("renew")
    assert new_orders(place.ca.requests) == 4
    assert len(place.ca.issued) == 1


# ---- with a second issuer ------------------------------------------------------------------------------------------------


def one(place: Town, *, issuers: str = '["sandbox", "second"]') -> None:
    """One certificate, at CAs of which the first publishes what Let's Encrypt does."""
    place.configure(certificates=place.certificate("c", names=("c.example.com",), targets=("folder",), issuer=issuers))
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nlimits = "letsencrypt"')


def spend(place: Town, count: int) -> None:
    """So many orders of the domain, placed now at the first CA by somebody else with our store."""
    place.run("account", "make", "sandbox")
    with place.store() as store:
        [directory] = [account.directory for account in store.accounts()]
        for number in range(count):
            draft = NewOrderRow(
                certificate=f"other{number}",
                key_type=KeyType.P256,
                issuer="sandbox",
                directory=directory,
                account_uri="http://ca.test/acct/1",
                names=(f"other{number}.example.com",),
                profile=None,
                replaces=None,
                rehearsal=False,
                why="never issued",
            )
            row = store.start_order(draft)
            store.update_order(row.id, uri=f"http://ca.test/order/{number}", state="done")


def issued_by(place: Town) -> list[str]:
    with place.store() as store:
        return [version.issuer for version in reversed(store.versions("c"))]


def test_what_is_not_served_yet_is_ordered_at_the_second_where_the_first_has_no_room(place: Town) -> None:
    one(place)
    spend(place, 45)
    told = (
        "sandbox has no room before Mon 23 Nov 12:21 UTC (50 certificates for example.com in a week); second steps in"
    )
    assert told in place.run("plan").out
    place.run("renew")
    assert issued_by(place) == ["second"]
    assert new_orders(place.ca.requests) == 0
    assert "second steps in" in place.run("history").out


def test_a_renewal_that_can_wait_waits_for_the_first_and_status_says_so(place: Town) -> None:
    one(place)
    place.run("renew")
    place.later(days=61)
    place.ca.bad.rate_limited, place.ca.bad.rate_limit_seconds = 1, 5 * 3600
    ran = place.run("renew")
    assert "1 too early to order" in ran.out
    assert "next: c, Sat 23 Jan 14:00 UTC" in ran.out
    assert place.ca2.orders == []
    status = place.run("status").out
    assert "not ordered before Sat 23 Jan 14:00 UTC" in status
    assert "too many new orders recently" in status
    assert "certbroker issue c" in status
    assert "certbroker issue c" in place.run("explain", "c").out
    place.later(hours=4)
    asked = len(place.ca.requests)
    place.run("renew")
    assert len(place.ca.requests) == asked
    assert "hold" in place.run("plan", "--offline").out
    place.later(hours=1)
    place.run("renew")
    assert issued_by(place) == ["sandbox", "sandbox"]
    assert "not ordered before" not in place.run("status").out


def test_a_renewal_that_cannot_wait_so_long_goes_to_the_second(place: Town) -> None:
    one(place)
    place.ca.set_lifetime("classic", timedelta(hours=12))
    place.run("renew")
    place.later(hours=8, minutes=1)
    place.ca.bad.rate_limited, place.ca.bad.rate_limit_seconds = 1, 5 * 3600
    place.run("renew")
    assert issued_by(place) == ["sandbox", "second"]


def test_who_asks_by_hand_does_not_wait(place: Town) -> None:
    one(place)
    place.run("renew")
    place.later(days=61)
    place.ca.bad.rate_limited, place.ca.bad.rate_limit_seconds = 1, 5 * 3600
    place.run("renew")
    place.run("issue", "c", "-m", "now")
    assert issued_by(place) == ["sandbox", "second"]
    assert "not ordered before" not in place.run("status").out


def test_a_hold_of_our_own_ledger_is_shown_too(place: Town) -> None:
    one(place, issuers='"sandbox"')
    spend(place, 45)
    place.run("renew")
    status = place.run("status").out
    assert (
        "not ordered before Mon 23 Nov 12:21 UTC: never issued; waits for the limits of sandbox: 50 certificates"
        in status
    )
    with dashboard(place.world(), place.folder, place.clock) as site:
        [words] = site.get("/api/overview").json()["overview"]["held"]["c"]
        assert words in status, "the same, from one place"
        assert all(words in unescape(site.get(page).text) for page in ("/", "/certificates/c"))
    place.run("issue", "c", "-m", "it cannot wait")
    assert "not ordered before" not in place.run("status").out
