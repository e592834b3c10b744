"""Traces and logs by the command line, in the town."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.town import Ran, Town, town
from tests.telemetry.receiver import Receiver, Span, closed, receiver, silence

SECOND = ("www.example.com",)


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, collector: Receiver) -> Iterator[Town]:
    """Two certificates, one of them for the folder alone; traces are wanted."""
    with town(tmp_path / "town") as made:
        more = made.certificate("www", names=SECOND, targets=("folder",))
        made.configure(extra=more)
        made.environ |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-honeycomb-team=hcaik_01",
        }
        yield made


def log_of(ran: Ran) -> list[Any]:
    """Every line of stderr, each an object."""
    return [json.loads(line) for line in ran.err.splitlines()]


def tree(spans: list[Span]) -> dict[str, Span]:
    """The children by step and target. All are below the root and within its time."""
    root, *children = spans
    assert (root.name, root.parent) == ("attempt", "")
    for child in children:
        assert child.parent == root.id
        assert root.began <= child.began <= child.ended <= root.ended
    assert len({span.id for span in spans}) == len(spans)
    assert len({span.trace for span in spans}) == 1
    return {" ".join(filter(None, (child.name, child.get("target")))): child for child in children}


def test_a_night_in_traces_log_and_history(place: Town, collector: Receiver) -> None:
    night = place.run("--log-format", "json", "renew")
    log = log_of(night)
    assert "2 ordered" in night.out

    # one request, one trace an attempt, the root first
    assert [(path, headers["x-honeycomb-team"]) for path, headers in collector.asked] == [("/v1/traces", "hcaik_01")]
    by_certificate = {spans[0]["certificate"]: spans for spans in collector.drop()}
    assert sorted(by_certificate) == ["main", "www"]
    order = {"order", "authorizations", "challenge", "finalize"}
    targets = ("fastly", "fly-blue", "fly-green")
    main = tree(by_certificate["main"])
    assert set(main) == {
        *order,
        "push folder",
        *(f"{step} {target}" for target in targets for step in ("push", "verify")),
    }
    assert set(tree(by_certificate["www"])) == {*order, "push folder"}
    assert not [span for spans in by_certificate.values() for span in spans if span.failed]
    assert main["verify fastly"]["outcome"] == "served"
    assert main["push folder"]["outcome"] == "delivered"
    assert main["challenge"]["issuer"] == "sandbox"
    root = by_certificate["main"][0]
    assert (root["outcome"], root["targets"], root["targets_served"], root["orders"]) == ("served", 4, 3, 1)
    assert root.resource["service.name"] == "certbroker"

    # the log tells the same, and what the history keeps is the same object
    (wide,) = [line for line in log if line["kind"] == "attempt" and line["certificate"] == "main"]
    assert {f"certbroker.{key}": value for key, value in wide.items() if value not in (None, [])} == root.attributes
    assert (wide["trace"], wide["run"]) == (root.trace, root["run"])
    history = place.run("history", "--limit", "500", "--json").json["history"]
    kept = [{key: value for key, value in row.items() if key != "id"} for row in history]
    told = [line for line in log if line["run"] and line["kind"] not in ("run-started", "run-ended", "step")]
    assert [row for row in told if row not in kept] == []
    assert len(kept) >= len(told)
    assert (log[0]["kind"], log[-1]["kind"]) == ("run-started", "run-ended")
    assert sum(line["kind"] == "step" for line in log) == sum(len(spans) - 1 for spans in by_certificate.values())

    # explain answers from it
    assert f"last attempt served after {wide['seconds']:.1f} s" in (said := place.run("explain", "main").out)
    assert f"trace {root.trace}" in said
    assert {
        key: value for key, value in place.run("explain", "main", "--json").json["attempt"].items() if key != "id"
    } == wide

    # an hour in which nothing is due has nothing to send
    place.later(minutes=10)
    place.run("renew")
    assert collector.drop() == []


def test_what_fails_has_the_status_of_an_error(place: Town, collector: Receiver) -> None:
    fault = Fault(Response.of(422, {}), times=10**6, matches=lambda request: request.method == "POST")
    place.platform("fastly").faults.append(fault)
    ran = place.run("--log-format", "json", "renew", "main", ends=1)
    ((root, *_),) = spans = collector.drop()
    children = tree(spans[0])
    assert root.failed
    assert (root["outcome"], root["targets_failed"], root["troubled"]) == ("failed", 1, ["fastly"])
    assert root.message == root["error"]
    assert {name for name, span in children.items() if span.failed} == {"push fastly", "verify fastly"}
    assert children["push fastly"].message == root["error"]
    log = log_of(ran)
    (trouble,) = [line for line in log if line["kind"] == "error"]
    assert trouble["level"] == "error"
    assert trouble["now"]
    assert "certbroker" in trouble["hint"]
    assert [line["level"] for line in log if line["kind"] in ("attempt", "run-ended")] == ["error", "error"]

    # what a check keeps from being ordered has a trace that tells it, and none of what did not happen
    place.house.dns.set("_acme-challenge.www.example.com", "CNAME", "www.example.com.d6lmmxg.flydns.net.")
    place.run("renew", "www", ends=1)
    ((root, *_),) = spans = collector.drop()
    children = tree(spans[0])
    assert set(children) == {"order"}
    assert (root.failed, children["order"].failed) == (True, True)
    assert "flydns.net" in root["error"]


def test_a_collector_that_is_no_more_changes_nothing_but_a_note(place: Town, collector: Receiver) -> None:
    place.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "150"
    wanted = {"closed": "cannot be reached", "silent": "did not take them within 0.15 s", "refuses": "answers 401"}
    with silence() as silent:
        collector.status = 401
        for number, (how, url) in enumerate({"closed": closed(), "silent": silent, "refuses": collector.url}.items()):
            place.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
            place.later(hours=1)
            ran = place.run("issue", "www", ends=0)
            assert f"v{number + 1} delivered" in ran.out
            assert ran.err.startswith(f"note: traces were not sent: {url} {wanted[how]}"), ran.err
            assert ran.err.count("note:") == 1
            assert "hcaik_01" not in ran.all
    collector.status, collector.rejects = 200, 3
    place.later(hours=1)
    assert "took all but 3 of 6 spans" in place.run("issue", "www").err


def test_bad_words_are_told_as_json_too(place: Town) -> None:
    for words, kind in ((("renew", "nobody"), "error"), (("--log-format", "json", "nosuchcommand"), "error")):
        place.environ["CERTBROKER_LOG_FORMAT"] = "json"
        last = log_of(place.run(*words, ends=2))[-1]
        assert (last["kind"], last["now"]) == (kind, "nothing was touched")
    place.environ["CERTBROKER_LOG_FORMAT"] = "xml"
    assert "error: $CERTBROKER_LOG_FORMAT is 'xml'; it can be text or json\n" in place.run("renew", ends=2).err
    assert place.run("--log-format", "text", "status", ends=None).err.startswith("error: ") is False
