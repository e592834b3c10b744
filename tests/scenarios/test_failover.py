"""A list of issuers is an order of preference: the second steps in, is remembered for a while, and the first comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.model import KeyType
from certbroker.sandbox.ca import Problem
from certbroker.testkit.simulator import Fault, Request, Response
from tests.scenarios.town import Town, town

AWAY = Response.html(503, "<html>away</html>")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """Two CAs, and one certificate for a folder."""
    with town(tmp_path / "town", second_ca=True) as made:
        made.configure(certificates=made.certificate(targets=("folder",)))
        yield made


def is_new_order(request: Request) -> bool:
    return request.path == "/new-order"


def issuers(place: Town) -> list[str]:
    """Who issued each version, the oldest first."""
    with place.store() as store:
        return [version.issuer for version in reversed(store.versions("main"))]


def test_the_second_steps_in_within_the_same_run_while_the_first_is_away(place: Town) -> None:
    place.ca.faults.append(Fault(AWAY, times=1000))
    ran = place.run("renew")
    assert issuers(place) == ["second"]
    assert "sandbox answered 503" in ran.out
    assert "second steps in" in ran.out
    history = place.run("history").out
    assert "sandbox passed over until" in history
    assert "sandbox is away since Mon 23 Nov 09:00 UTC" in history


def test_the_first_comes_back_at_the_next_renewal_and_not_before(place: Town) -> None:
    place.ca.faults.append(Fault(AWAY, times=1000))
    place.run("renew")
    place.ca.faults.clear()
    for _ in range(20):
        place.later(days=1)
        place.run("renew")
    assert issuers(place) == ["second"], "it was ordered anew only because the first is back"
    assert place.ca.orders == []
    place.later(days=42)
    place.run("renew")
    assert issuers(place) == ["second", "sandbox"]
    assert place.ca.orders[-1].replaces is None, "the first was told that it replaces another CA's certificate"


def test_nobody_knocks_at_the_first_again_before_its_time(place: Town) -> None:
    place.ca.bad.rate_limited = 1
    place.ca.bad.rate_limit_seconds = 7200
    place.ca2.faults.append(Fault(AWAY, times=1000))
    place.run("renew", ends=1)
    asked = len(place.ca.requests)
    place.later(seconds=7199)
    place.run("renew", ends=1)
    assert len(place.ca.requests) == asked
    place.later(seconds=1)
    place.run("renew")
    assert issuers(place) == ["sandbox"]


def test_a_ca_that_does_not_sign_such_a_name_is_passed_over(place: Town) -> None:
    place.ca.bad.refused_names["example.com"] = Problem("rejectedIdentifier", "on our list", status=403)
    place.ca.bad.refused_names["*.example.com"] = Problem("rejectedIdentifier", "on our list", status=403)
    ran = place.run("renew")
    assert issuers(place) == ["second"]
    assert "on our list" in ran.out
    status = place.run("status").out
    assert "sandbox refuses since" in status
    assert "sandbox refuses since" in place.run("explain", "main").out


@pytest.mark.parametrize("code", ["caa", "dns", "connection", "unauthorized", "incorrectResponse"])
def test_a_proof_that_the_first_could_not_see_is_not_tried_at_the_second(place: Town, code: str) -> None:
    place.ca.bad.validation_problems["example.com"] = Problem(code, "look again")
    ran = place.run("renew", ends=1)
    assert "look again" in ran.err
    assert place.ca2.requests == []
    assert issuers(place) == []


def test_terms_that_nobody_agreed_to_are_ours_to_mend(place: Town) -> None:
    text = (place.folder / "certbroker.toml").read_text()
    (place.folder / "certbroker.toml").write_text(text.replace("agree_to_terms = true", "", 1))
    assert "agree_to_terms = true in [issuer.sandbox]" in place.run("renew", ends=1).err
    assert place.ca2.requests == []


def test_a_profile_that_the_first_does_not_have_is_ours_to_mend(place: Town) -> None:
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nprofile = "tlsservr"')
    assert "no profile 'tlsservr'" in place.run("renew", ends=1).err
    assert place.ca2.requests == []


def test_the_second_is_not_sent_the_profile_of_the_first(place: Town) -> None:
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nprofile = "shortlived"')
    place.ca.faults.append(Fault(AWAY, times=1000))
    place.run("renew")
    assert [order.profile.name for order in place.ca2.orders] == ["classic"]


def test_when_everybody_is_away_it_fails_and_is_tried_again_with_backoff(place: Town) -> None:
    for ca in (place.ca, place.ca2):
        ca.faults.append(Fault(AWAY, times=1000))
    ran = place.run("renew", ends=1)
    assert "second answered 503" in ran.err
    asked = len(place.ca.requests), len(place.ca2.requests)
    place.run("renew", ends=1)
    assert (len(place.ca.requests), len(place.ca2.requests)) == asked, "it asked again at once"
    for ca in (place.ca, place.ca2):
        ca.faults.clear()
    place.later(minutes=11)
    place.run("renew")
    assert issuers(place) == ["sandbox"]


def test_a_person_who_asks_begins_with_the_first_again(place: Town) -> None:
    place.ca.faults.append(Fault(AWAY, times=1000))
    place.run("renew")
    place.later(minutes=6)
    place.ca.faults.clear()
    place.run("issue", "main")
    assert issuers(place) == ["second", "sandbox"]
    place.later(minutes=6)
    place.ca.faults.append(Fault(AWAY, times=1000))
    place.run("issue", "main")
    assert issuers(place) == ["second", "sandbox", "second"]


def test_an_order_left_at_the_first_goes_on_there_if_the_second_cannot_either(place: Town) -> None:
    """It is neither lost nor doubled."""
    place.ca.faults.append(Fault(AWAY, skip=5, times=1000))
    place.ca2.faults.append(Fault(AWAY, times=1000))
    place.run("renew", ends=1)
    with place.store() as store:
        [left] = [row for row in store.open_orders_of("main", KeyType.P256, rehearsal=False) if row.uri]
    assert left.issuer == "sandbox"
    place.ca.faults.clear()
    place.later(minutes=11)
    place.run("renew")
    assert place.ca.new_orders == 1
    assert issuers(place) == ["sandbox"]


def test_the_order_left_at_the_first_is_given_up_when_the_second_has_one(place: Town) -> None:
    place.ca.faults.append(Fault(AWAY, skip=5, times=1000))
    place.run("renew")
    assert issuers(place) == ["second"]
    place.ca.faults.clear()
    place.later(days=1)
    place.run("renew")
    with place.store() as store:
        assert store.open_orders() == []
        failed = [row.error for row in map(store.order, range(1, 4)) if row is not None and row.state == "failed"]
    assert failed == ["sandbox was left for second"]
    assert place.ca.finalizations == 0


def test_an_order_that_the_first_has_been_asked_to_sign_is_waited_for(place: Town) -> None:
    place.ca.bad.finalize_seconds = 3600.0
    place.run("renew", ends=1)
    place.later(minutes=6)  # another finalization would be allowed again
    place.run("renew", ends=1)
    assert place.ca2.requests == []
    place.later(hours=1)
    place.run("renew")
    assert issuers(place) == ["sandbox"]
    assert len(place.ca.issued) == 1


def test_the_plan_tells_who_steps_in_and_why(place: Town) -> None:
    place.ca.bad.rate_limited = 1
    place.ca2.faults.append(Fault(AWAY, times=1000))
    place.run("renew", ends=1)
    place.later(minutes=11)
    assert "sandbox limits us since Mon 23 Nov 09:00 UTC" in place.run("plan", "--offline").out
    assert "second steps in" in place.run("plan", "--offline").out


def test_what_would_keep_the_second_from_stepping_in_is_told_in_advance(place: Town) -> None:
    place.house.dns.set("example.com", "CAA", '0 issue "sandbox.certbroker.test"')
    place.ca2.books.eab_required = True
    checked = place.run("check").out
    assert "it could not step in: second takes only accounts with an external account binding" in checked
    assert "second could not step in: " in checked
    place.run("renew")
    assert issuers(place) == ["sandbox"]


def test_a_paused_name_shows_the_page_that_lifts_it_and_is_not_asked_about_every_run(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.configure(certificates=place.certificate(targets=("folder",)))
        link = "https://portal.ca.example/sfe/v1/unpause?jwt=" + "x" * 600
        paused = {
            "type": "urn:ietf:params:acme:error:rateLimited",
            "detail": "Your account is temporarily prevented from requesting certificates for example.com and possibly "
            f"others. Please visit: {link}",
        }
        answer = Response.of(429, paused, kind="application/problem+json")
        place.ca.faults.append(Fault(answer, matches=is_new_order, times=1000))
        assert link in place.run("renew", ends=1).err
        assert link in place.run("status", ends=1).out
        assert link in place.run("explain", "main").out
        asked = len(place.ca.requests)
        for _ in range(23):
            place.later(hours=1)
            place.run("renew", ends=1)
        assert len(place.ca.requests) == asked
        place.ca.faults.clear()
        place.run("renew", "main")
        assert issuers(place) == ["sandbox"]


def test_a_key_that_the_first_does_not_sign_goes_to_the_second_and_the_other_stays(place: Town) -> None:
    """It is refused when it is to be signed; that is no reason to wait as after a certificate."""
    place.configure(certificates=place.certificate(targets=("folder",), keys='["ecdsa-p256", "rsa-2048"]'))
    refused = {"type": "urn:ietf:params:acme:error:badPublicKey", "detail": "no RSA here"}

    def signs_rsa(request: Request) -> bool:
        return request.path.endswith("/finalize") and len(request.body) > 1000

    place.ca.faults.append(Fault(Response.of(400, refused), matches=signs_rsa, times=1000))
    assert "no RSA here" in place.run("renew").out
    with place.store() as store:
        found = {version.key_type: version.issuer for version in store.versions("main")}
    assert found == {KeyType.P256: "sandbox", KeyType.RSA2048: "second"}


def test_a_mistake_at_the_second_is_not_waited_for_at_the_first(place: Town) -> None:
    place.ca.bad.rate_limited, place.ca.bad.rate_limit_seconds = 1, 3600
    text = (place.folder / "certbroker.toml").read_text()
    head, tail = text.split("[issuer.second]")
    (place.folder / "certbroker.toml").write_text(
        head + "[issuer.second]" + tail.replace("agree_to_terms = true", "", 1)
    )
    for minutes in (0, 1, 10, 30):
        place.later(minutes=minutes)
        place.run("renew", ends=1)
    place.later(minutes=19)
    place.run("renew")
    assert issuers(place) == ["sandbox"]
