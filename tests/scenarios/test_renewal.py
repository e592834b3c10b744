"""When a certificate is renewed, and when not: scenarios 12, 13, 14, 21 and 27, by the real command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from certbroker.model import KeyType
from certbroker.testkit.simulator import Fault, Request, Response
from tests.scenarios.town import Town, town

AWAY = Response.html(503, "<html>away</html>")
ACME = "urn:ietf:params:acme:error:"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """Two CAs; one certificate for a folder, by the first."""
    with town(tmp_path / "town", second_ca=True) as made:
        made.configure(certificates=made.certificate(targets=("folder",), issuer='"sandbox"'))
        yield made


def is_new_order(request: Request) -> bool:
    return request.path == "/new-order"


def issuers(place: Town) -> list[str]:
    """Who issued each version, the oldest first."""
    with place.store() as store:
        return [version.issuer for version in reversed(store.versions("main"))]


# ---- 12: the CA is away ------------------------------------------------------------------------------------------------


def test_a_ca_that_is_away_stops_its_own_certificates_and_no_others(place: Town) -> None:
    place.configure(
        certificates=place.certificate("main", names=("example.com",), targets=("folder",), issuer='"sandbox"')
        + place.certificate("other", names=("other.example.com",), targets=("folder",), issuer='"second"')
    )
    place.ca.faults.append(Fault(AWAY, times=1000))
    ran = place.run("renew", ends=1)
    assert "main cannot be ordered: sandbox answered 503" in ran.err
    assert len(place.ca2.issued) == 1
    asked: list[int] = []
    for minutes in (1, 10, 100):
        place.later(minutes=minutes)
        place.run("renew", ends=1)
        asked.append(len(place.ca.requests))
        place.run("renew", ends=1)
        assert len(place.ca.requests) == asked[-1], "it asked again at once"
    assert asked == sorted(set(asked)), "it did not ask again when it was time"
    place.ca.faults.clear()
    place.later(days=1)
    place.run("renew")
    assert len(place.ca.issued) == 1
    assert len(place.ca2.issued) == 1


# ---- 13: the CA says when ----------------------------------------------------------------------------------------------


def revoked(place: Town) -> None:
    """A month later the CA wants it replaced at once, and says why."""
    place.run("renew")
    place.later(days=30)
    place.run("renew")
    now = place.clock.now()
    serial = place.ca.issued[-1].serial
    place.ca.set_window(serial, now - timedelta(hours=2), now - timedelta(hours=1), "https://ca.example/incident-7")


def test_a_window_that_moves_into_the_past_renews_at_the_first_run_that_asks(place: Town) -> None:
    revoked(place)
    place.run("renew")
    assert len(place.ca.issued) == 1, "it was not due to be asked about again"
    place.later(hours=6)
    ran = place.run("renew")
    assert "the CA asks for renewal" in ran.out
    assert len(place.ca.issued) == 2
    assert place.ca.orders[-1].replaces == place.ca.issued[0].cert_id


def test_the_ca_explains_and_everybody_can_read_it(place: Town) -> None:
    revoked(place)
    place.later(hours=6)
    place.ca.faults.append(Fault(AWAY, matches=is_new_order, times=1000))
    place.run("renew", ends=1)
    place.later(minutes=1)
    for command in (("plan", "--offline"), ("status",), ("explain", "main"), ("history", "main")):
        assert "https://ca.example/incident-7" in place.run(*command, ends=None).out, command


def test_five_runs_in_a_minute_with_a_window_that_stays_in_the_past_order_once(place: Town) -> None:
    revoked(place)
    past = b'{"suggestedWindow": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}}'
    place.ca.set_renewal_info(place.ca.issued[-1].serial, past)
    for _ in range(5):
        place.run("renew", "--refresh-ari")
        place.ca.set_renewal_info(place.ca.issued[-1].serial, past)
        place.later(seconds=12)
    assert len(place.ca.issued) == 2
    assert place.ca.finalizations == 2


def test_a_ca_that_says_so_of_every_new_certificate_is_not_asked_in_a_loop(place: Town) -> None:
    revoked(place)
    past = b'{"suggestedWindow": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}}'
    for _ in range(36):
        place.ca.set_renewal_info(place.ca.issued[-1].serial, past)
        place.run("renew", "--refresh-ari")
        place.later(hours=1)
    assert len(place.ca.issued) == 3
    assert "is not believed at once again" in place.run("plan", "--offline").out
    place.run("issue", "main", "-m", "I believe it")
    assert len(place.ca.issued) == 4


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"suggestedWindow": {"start": "yesterday"}}', b"[" * 3000])
def test_a_malformed_answer_never_orders_and_the_window_before_holds(place: Town, body: bytes) -> None:
    place.run("renew")
    place.later(hours=6)
    place.run("renew")
    place.ca.set_renewal_info(place.ca.issued[-1].serial, body)
    for _ in range(5):
        place.later(days=10)
        place.run("renew", "--refresh-ari")
    assert len(place.ca.issued) == 1
    place.later(days=10)
    for _ in range(3):
        place.run("renew", "--refresh-ari")
        place.later(minutes=10)
    assert len(place.ca.issued) == 2


# ---- 14: replaces is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"), [(404, "malformed"), (403, "unauthorized"), (400, "malformed"), (409, "alreadyReplaced")]
)
def test_replaces_that_is_refused_is_left_out_once(place: Town, status: int, code: str) -> None:
    revoked(place)
    place.later(hours=6)
    problem = {"type": ACME + code, "detail": "not this one"}
    before = len(place.ca.requests)
    place.ca.faults.append(Fault(Response.of(status, problem), matches=is_new_order))
    place.run("renew")
    assert sum(is_new_order(request) for request in place.ca.requests[before:]) == 2
    assert place.ca.orders[-1].replaces is None
    assert len(place.ca.issued) == 2


def test_it_is_asked_once_more_and_not_for_ever(place: Town) -> None:
    revoked(place)
    place.later(hours=6)
    problem = {"type": ACME + "unauthorized", "detail": "not you"}
    before = len(place.ca.requests)
    place.ca.faults.append(Fault(Response.of(403, problem), matches=is_new_order, times=1000))
    place.run("renew", ends=1)
    assert sum(is_new_order(request) for request in place.ca.requests[before:]) == 2


# ---- 21: nonces, dates, load balancers, limits -------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "count"), [(9, 100), (-8, 10)])
def test_each_of_many_orders_passes_or_waits_as_told_on_a_bad_day(place: Town, hours: int, count: int) -> None:
    names = [f"n{n}" for n in range(count)]
    place.configure(
        certificates="".join(
            place.certificate(name, names=(f"{name}.example.com",), targets=("folder",), issuer='"sandbox"')
            for name in names
        )
    )
    bad = place.ca.bad
    bad.rejected_nonces = 0.2
    bad.finalize_seconds = 2.0
    bad.retry_after_form = "date"
    bad.retry_after_zone = timezone(timedelta(hours=hours))
    bad.retry_after = 3
    bad.rate_limited, bad.rate_limit_seconds = 1, 7200
    place.ca.faults.append(Fault(AWAY, matches=lambda r: r.path.startswith("/order/"), times=7, skip=20))
    place.ca.faults.append(Fault(AWAY, matches=lambda r: r.path.startswith("/authz/"), times=2, skip=10))
    place.run("renew", ends=1)
    assert [p.kind for p in place.ca.refusals].count("rateLimited") == 1, "it knocked again although it was told when"
    place.later(seconds=7200)
    for _ in range(4):
        if place.run("renew", ends=None).code == 0:
            break
        place.later(minutes=11)
    assert len(place.ca.issued) == len(names)
    assert place.ca.finalizations == len(names)


# ---- 27: the file changes ----------------------------------------------------------------------------------------------


def test_another_issuer_in_the_file_is_due_at_once(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), issuer='"second"'))
    place.run("renew")
    place.later(days=2)
    place.edit('issuer = "second"\n', 'issuer = "sandbox"\n')
    assert "issued by second, the file says sandbox" in place.run("plan", "--offline").out
    place.run("renew")
    assert issuers(place) == ["second", "sandbox"]
    assert place.ca.orders[-1].replaces is None
    place.run("renew")
    assert issuers(place) == ["second", "sandbox"]


def test_another_key_type_is_due_at_once(place: Town) -> None:
    place.run("renew")
    place.later(days=2)
    place.configure(certificates=place.certificate(targets=("folder",), issuer='"sandbox"', keys='["rsa-2048"]'))
    place.run("renew")
    with place.store() as store:
        assert [v.key_type for v in store.versions("main")] == [KeyType.RSA2048, KeyType.P256]
    place.run("renew")
    assert len(place.ca.issued) == 2


def test_another_profile_waits_for_the_next_renewal_and_the_plan_says_so(place: Town) -> None:
    place.run("renew")
    place.later(days=2)
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nprofile = "tlsserver"')
    assert "profile default becomes tlsserver at the next renewal" in place.run("plan", "--offline").out
    place.run("renew")
    assert len(place.ca.issued) == 1
    place.later(days=62)
    place.run("renew", "--refresh-ari")
    assert [order.profile.name for order in place.ca.orders] == ["classic", "tlsserver"]
    assert "becomes" not in place.run("plan", "--offline").out


def test_a_name_that_is_added_a_moment_after_an_order_is_ordered_when_the_moment_is_over(place: Town) -> None:
    place.run("renew")
    place.edit('names = ["example.com"', 'names = ["new.example.com", "example.com"')
    assert "1 too early to order" in place.run("renew").out
    place.later(minutes=4)
    place.run("renew")
    assert len(place.ca.issued) == 1
    place.later(minutes=1)
    place.run("renew")
    assert "new.example.com" in place.ca.issued[-1].names
