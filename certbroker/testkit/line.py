"""The hands of a test on the line between an adapter and its place: count, watch, cut and falsify.

`Gate` counts, cuts and watches every write; `Line` puts one in front of a simulator. What speaks no HTTP (files) leads its own
writes through a `Gate`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import requests
from requests.adapters import BaseAdapter

from certbroker.testkit.simulator import Response, Simulator, SimulatorTransport

T = TypeVar("T")


class Killed(BaseException):
    """The process dies here. No `except Exception` sees it, and nothing can be written any more."""


class Gate:
    """What every write passes. `writes` counts them; `watch` is called when one has taken effect."""

    def __init__(self) -> None:
        self.writes = 0
        self.watch: Callable[[], None] | None = None
        self._cut: tuple[int, str, bool] | None = None
        self._happened = False
        self._dead = False

    def cut(self, nth: int, when: Literal["before", "after"], *, kill: bool = False) -> None:
        """Break at the `nth` write from now (0 is the next), before or after its effect; `kill`: the process dies there."""
        self._cut, self._happened = (self.writes + nth, when, kill), False

    def mend(self) -> bool:
        """Let everything through again. True if the cut happened."""
        happened, self._cut, self._dead = self._happened, None, False
        return happened

    def write(self, act: Callable[[], T], broken: Callable[[], Exception]) -> T:
        """Do `act` unless it is cut; `broken` makes the error that a cut shows as."""
        if self._dead:
            raise Killed
        position, (nth, when, kill) = self.writes, self._cut or (-1, "", False)
        self.writes += 1
        if position == nth and when == "before":
            self._break(broken, kill=kill)
        done = act()
        if self.watch is not None:
            self.watch()
        if position == nth:
            self._break(broken, kill=kill)
        return done

    def _break(self, broken: Callable[[], Exception], *, kill: bool) -> None:
        self._happened = True
        if kill:
            self._dead = True
            raise Killed
        raise broken()


Answer = Response | Literal["reset"] | Callable[[requests.PreparedRequest], Response]
"""What goes wrong: an answer given without effect, a dead line, or an answer made from the request."""


class Line(BaseAdapter):
    """A simulator behind a `requests` transport, with a gate for its writes.

    `is_write` says which requests can change something; by default all but GET, HEAD and OPTIONS.
    """

    def __init__(
        self, simulator: Simulator, *, is_write: Callable[[requests.PreparedRequest], bool] | None = None
    ) -> None:
        super().__init__()
        self.gate = Gate()
        self.sent: list[requests.PreparedRequest] = []
        self.resolved = 0
        """How many secrets were read."""
        self._through = SimulatorTransport(simulator)
        self._is_write = is_write or (lambda request: request.method not in ("GET", "HEAD", "OPTIONS"))
        self._fault: tuple[int | None, Answer] | None = None

    def fail(self, answer: Answer, *, nth: int | None = None) -> None:
        """Answer so from now on, or only at the `nth` request from now. None of them takes effect."""
        self._fault = (None if nth is None else len(self.sent) + nth, answer)

    def mend(self) -> None:
        self._fault = None
        self.gate.mend()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        position = len(self.sent)
        self.sent.append(request)
        if self._fault is not None and self._fault[0] in (None, position):
            return self._failing(request, self._fault[1])
        if not self._is_write(request):
            return self._through.send(request, *args, **kwargs)
        return self.gate.write(lambda: self._through.send(request, *args, **kwargs), _dead)

    def _failing(self, request: requests.PreparedRequest, answer: Answer) -> requests.Response:
        if answer == "reset":
            raise _dead()
        made = answer if isinstance(answer, Response) else answer(request)
        return SimulatorTransport(_Says(made)).send(request)

    def close(self) -> None:
        return None


class _Says(Simulator):
    """Answers everything with one thing."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self._response = response

    def answer(self, request: Any) -> Response:
        return self._response


def _dead() -> Exception:
    return requests.exceptions.ConnectionError("the line is dead")
