"""Bad days: a push that fails, a CA that is away, two runs at once, edges that lie."""

from __future__ import annotations

import threading
from dataclasses import replace

from certbroker.sandbox.edge import Trouble
from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.test_restore import phases
from tests.scenarios.town import Town


def _writes(request: object) -> bool:
    return bool(getattr(request, "write", False))


def test_a_push_that_fails_once_is_repaired_by_the_next_run(place: Town) -> None:
    place.platform("fastly").faults.append(Fault(Response.html(500, "oops"), matches=_writes))
    ran = place.run("renew", ends=1)
    assert "fastly" in ran.err
    assert "now " in ran.err
    with place.store() as store:
        phases = {row.target: row.phase.value for row in store.deployments("main")}
    assert phases["fastly"] == "failed"
    assert phases["fly-blue"] == "committed"
    place.run("renew")
    assert place.orders == 1


def test_a_ca_that_is_away_is_no_failure_while_nothing_is_due(place: Town) -> None:
    place.run("renew")
    place.ca.faults.append(Fault(Response.html(503, "away"), times=1000))
    place.later(hours=7)
    place.run("renew")


def test_a_ca_that_is_away_fails_what_is_due_and_is_asked_again_with_backoff(place: Town) -> None:
    place.ca.faults.append(Fault(Response.html(503, "away"), times=1000))
    ran = place.run("renew", ends=1)
    assert "main cannot be ordered" in ran.err
    asked = len(place.ca.requests)
    place.run("renew", ends=1)
    assert len(place.ca.requests) == asked, "it asked again at once"
    place.ca.faults.clear()
    place.later(minutes=2)
    place.run("renew")
    assert place.orders == 1


def test_a_revocation_announced_by_ari_renews_at_the_next_run(place: Town) -> None:
    place.run("renew")
    place.later(days=30)
    place.run("renew", ends=None)
    place.ca.revoke(place.ca.issued[-1].serial)
    place.run("renew", "--refresh-ari")
    assert len(place.ca.issued) == 2
    place.later(minutes=10)
    for _ in range(3):
        place.run("renew", "--refresh-ari")
    assert len(place.ca.issued) == 2


def test_a_malformed_window_orders_nothing(place: Town) -> None:
    place.run("renew")
    place.ca.set_renewal_info(place.ca.issued[-1].serial, b'{"suggestedWindow": {"start": "yesterday"}}')
    for _ in range(3):
        place.later(hours=7)
        place.run("renew")
    assert place.orders == 1


def test_replaces_that_is_refused_is_left_out_once(place: Town) -> None:
    place.run("renew")
    place.ca.orders[-1].replaces = place.ca.issued[-1].cert_id  # as if somebody else had replaced it already
    place.later(minutes=10)
    place.run("issue", "main", "-m", "try it")
    assert len(place.ca.issued) == 2
    assert place.run("history").out.count("replaces-refused") == 1


def test_two_runs_at_once_place_one_order(place: Town) -> None:
    """Two processes' worth of runs on one store: one works, the other says who and exits 0."""
    started = threading.Event()
    release = threading.Event()

    def pause() -> None:
        started.set()
        release.wait(30)

    place.ca.faults.append(
        Fault(pause, matches=lambda r: r.path.endswith("new-order") or "newOrder" in r.path or "order" in r.path)
    )
    codes: list[int] = []
    first = threading.Thread(target=lambda: codes.append(place.run("renew", ends=None).code))
    first.start()
    assert started.wait(30)
    second = place.run("renew", host="broker-2")
    assert "is being worked on by broker-1" in second.out
    release.set()
    first.join(60)
    place.later(minutes=2)
    place.run("renew")
    assert len(place.ca.issued) == 1


def test_an_edge_that_keeps_the_old_certificate_is_verifying_and_then_failed(place: Town) -> None:
    place.run("renew")
    edge = next(iter(place.house.edges.values()))
    edge.listeners[0].stuck = True
    place.later(minutes=10)
    ran = place.run("issue", "main", "--wait", "5s", ends=None)
    assert "still serves the certificate before" in ran.all
    assert "4 of 6 served as wanted" in ran.out, "the platform's word is no proof"
    assert phases(place, "fastly", "v2") == {"verifying"}
    place.later(minutes=30)
    assert "2 not seen at the edge yet" in place.run("renew").out
    assert phases(place, "fastly", "v2") == {"verifying"}
    place.later(hours=2)
    late = place.run("renew", ends=1)
    assert "still serves the certificate before" in late.err
    assert phases(place, "fastly", "v2") == {"failed"}
    shown = place.run("status", ends=1).out
    assert shown.startswith("Users get a valid certificate at 9 of 9 edges")
    assert "fail v1" in shown, "what is served there is the version before"
    edge.listeners[0].stuck = False
    place.run("renew")


def test_twenty_percent_rejected_nonces_and_a_load_balancer_do_not_stop_an_order(place: Town) -> None:
    place.ca.bad.rejected_nonces = 0.2
    place.run("renew")
    assert len(place.ca.issued) == 1


def test_a_429_is_waited_for_as_told(place: Town) -> None:
    limited = Response.of(
        429,
        {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"},
        kind="application/problem+json",
        **{"Retry-After": "7200"},
    )
    place.ca.faults.append(Fault(limited, matches=lambda r: "order" in r.path and r.write))
    ran = place.run("renew", ends=1)
    assert "too many" in ran.err
    place.later(minutes=90)
    asked = len(place.ca.requests)
    place.run("renew", ends=1)
    assert len(place.ca.requests) == asked
    place.later(minutes=31)
    place.run("renew")


def test_another_writers_txt_value_survives_our_clean_up(place: Town) -> None:
    place.house.dnsimple.add_record("example.com", "_acme-challenge", "TXT", "somebody-elses-value")
    place.run("renew")
    assert place.house.dns.txt("_acme-challenge.example.com") == ["somebody-elses-value"]


def test_an_edge_that_breaks_and_stays_broken_is_told_until_it_serves_again(place: Town) -> None:
    place.run("renew")
    edge = next(iter(place.house.edges.values()))
    place.later(minutes=10)
    fastly = place.platform("fastly")
    roll_out = fastly.on_change

    def break_one() -> None:
        roll_out()
        edge.listeners[0].trouble = Trouble.RESET

    fastly.on_change = break_one
    ran = place.run("issue", "main", "--wait", "3s", ends=1)
    assert "worse than before the push" in ran.err
    assert "v1 was put back; 198.51.100.10 serves nothing valid so far" in ran.err
    assert "regressed" in place.run("history", "main", "--limit", "200").out
    fastly.on_change = roll_out
    edge.listeners[0].trouble = Trouble.NONE
    ran = place.run("renew", ends=1)
    assert "; v1 was put back\n" in ran.err
    place.later(hours=1)
    place.run("renew")
    assert len(place.ca.issued) == 2


def test_what_drifted_is_shown_by_renew_and_put_back_by_push(place: Town) -> None:
    place.run("renew")
    fastly = place.platform("fastly")
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    by_hand = fastly.add_foreign(chain, key, name="by hand")
    for activation in list(fastly.estate.activations.values()):
        if activation.domain == "example.com":
            fastly.estate.activations[activation.id] = replace(activation, certificate=by_hand)
    fastly.on_change()
    place.later(hours=7)
    ran = place.run("renew", ends=1)
    assert "v1 was replaced by somebody: there is one by certbroker sandbox" in ran.err
    assert "certbroker drift main --heal --yes" in ran.err
    held = place.run("push", "main", "--target", "fastly", ends=1)
    assert held.err.count("is not ours") == 1
    assert "0 of 5 edges serve v1" in held.out
    place.run("push", "main", "--target", "fastly", "--yes")
    place.run("probe", "main")
    place.later(hours=1)
    place.run("renew")
