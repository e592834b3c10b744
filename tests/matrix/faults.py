"""What can go wrong with one call: the columns of the matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote

from certbroker.testkit.simulator import Fault, Request, Response
from tests.matrix.stage import Platform

LATE: Final = timedelta(minutes=5)
"""How much later an edge shows what the platform said is done."""

HTML: Final = Response.html(500, "<html>oops</html>")
SLOW_DOWN: Final = {"message": "slow down", "error": "slow down"}


End = Callable[[], None]


@dataclass(frozen=True)
class Trouble:
    """One column. `needs`: what a call must be for it to mean something: "any", "write", or "edges" that follow it.

    `begin` arms it for the call of that number (from 0) of the run to come; if `at_call`, it is asked when that call is made.
    What it answers ends the trouble.
    """

    name: str
    needs: str
    begin: Callable[[Platform, int], End]
    at_call: bool = False


def _fault(name: str, make: Callable[[], Fault], *, needs: str = "any") -> Trouble:
    def begin(platform: Platform, number: int) -> End:
        fault = make()
        fault.skip = number
        platform.simulator.faults.append(fault)
        return lambda: platform.simulator.faults.clear()

    return Trouble(name, needs, begin)


def _edges(name: str, do: Callable[[Platform], End]) -> Trouble:
    return Trouble(name, "edges", lambda platform, number: do(platform), at_call=True)


def _late(platform: Platform) -> End:
    platform.edges.delay = LATE
    return lambda: setattr(platform.edges, "delay", timedelta())


def _one_edge(platform: Platform) -> End:
    others = list(platform.edges.addresses)[1:]
    platform.edges.stick(*others)
    return lambda: platform.edges.well(*others)


def _breaks(platform: Platform) -> End:
    """The last edge chokes on everything that it is told from now on."""
    last = list(platform.edges.addresses)[-1]
    platform.edges.choke(last)
    return lambda: platform.edges.well(last)


TROUBLES: Final = (
    _fault("timeout", lambda: Fault("silence")),
    _fault("timeout, done", lambda: Fault("silence", when="after"), needs="write"),
    _fault("500", lambda: Fault(HTML)),
    _fault("500, done", lambda: Fault(HTML, when="after"), needs="write"),
    _fault("429", lambda: Fault(Response.of(429, SLOW_DOWN))),
    _fault("429, wait", lambda: Fault(Response.of(429, SLOW_DOWN, **{"Retry-After": "900"}))),
    _fault("reset", lambda: Fault("reset")),
    _fault("reset, done", lambda: Fault("reset", when="after"), needs="write"),
    _fault("lie", lambda: Fault("lie"), needs="write"),
    _edges("late", _late),
    _edges("one edge", _one_edge),
    _edges("breaks one", _breaks),
)


def label(request: Request, simulator: Any) -> str:
    """A call as its row is called: ids left out, the name it is about kept."""
    match [unquote(part) for part in request.path.split("/")[1:]]:
        case ["tls", kind, *one]:
            about = request.one("filter[tls_domain.id]") or (
                "of one" if request.one("filter[tls_certificate.id]") else ""
            )
            if kind == "activations" and request.write:
                about = _domain(request, simulator)
            return " ".join(filter(None, (request.method, kind, "ID" if one else "", about)))
        case ["v1", "apps", _, *rest]:
            body = request.json()
            name = body.get("hostname", "") if isinstance(body, dict) else ""
            verb = [part for part in rest if part in ("certificates", "custom", "check", "ip_assignments")]
            return " ".join(filter(None, (request.method, *verb, name or "".join(set(rest) - set(verb)))))
    return f"{request.method} {request.path}"


def _domain(request: Request, simulator: Any) -> str:
    if request.method == "POST":
        return str(request.json()["data"]["relationships"]["tls_domain"]["data"]["id"])
    return str(simulator.estate.activations[request.path.split("/")[-1]].domain)


def needs(request: Request) -> set[str]:
    """The kinds of trouble that mean something for this call: edges follow an activation, and whatever is written to Fly."""
    if not request.write:
        return {"any"}
    followed = "/tls/" not in request.path or "/tls/activations" in request.path
    return {"any", "write", "edges"} if followed else {"any", "write"}
