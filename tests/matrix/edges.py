"""The edges of a platform in one process: what each address shows, and whether it was right at every moment.

Nobody polls. Each change of what a platform serves comes here at once, is written into the time line of each address, and is
judged there: who was served something valid must be served something valid.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Final, Protocol

from certbroker import keys
from certbroker.model import Edge
from certbroker.names import probe_name
from certbroker.probe import Roots, Seen, Verdict
from certbroker.probe.trust import judge
from certbroker.secret import Secret
from certbroker.testkit.bundles import default_ca

Served = Mapping[str, str]
"""DNS name to the chain that is shown for it."""

NOTHING: Final = ""
BROKEN: Final = "broken"
"""What a name shows instead of a chain: an alert, or no TLS at all."""


class TrueClock(Protocol):
    """`now` is what the machine thinks that runs certbroker."""

    def now(self) -> datetime: ...

    def true(self) -> datetime: ...


@dataclass
class Address:
    """One address. `stuck`: it hears of nothing. `chokes`: it speaks no TLS for a name that shows anything but this.

    The last entry of `shown` that is not in the future is what a handshake sees.
    """

    name: str
    moments: list[datetime] = field(default_factory=list)
    shown: list[Served] = field(default_factory=list)
    stuck: bool = False
    chokes: Served | None = None

    def at(self, moment: datetime) -> Served:
        known = bisect.bisect_right(self.moments, moment)
        return self.shown[known - 1] if known else {}

    @property
    def last(self) -> Served:
        return self.shown[-1] if self.shown else {}


@dataclass(frozen=True)
class Remembered:
    """What was where, to be put back."""

    addresses: Mapping[str, tuple[Sequence[datetime], Sequence[Served]]]


class Edges:
    """All addresses of one platform.

    Args:
        serving: what the platform says that an address serves, by name.
        allowed: judges a new chain beyond what a client does: why it must not be shown now, or None.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        serving: Callable[[str], Mapping[str, tuple[str, Secret]]],
        clock: TrueClock,
        allowed: Callable[[str], str | None] = lambda chain: None,
    ) -> None:
        self.addresses = {name: Address(name) for name in addresses}
        self.delay = timedelta()
        """How much later than the platform the addresses hear of changes from now on."""
        self.wrong: list[str] = []
        """Every moment at which an address served worse than before and was not told to. Must stay empty."""
        self._serving = serving
        self._clock = clock
        self._allowed = allowed

    def hear(self) -> None:
        """The platform serves something else than before."""
        for address in self.addresses.values():
            if not address.stuck:
                self._write(address)

    def well(self, *addresses: str) -> None:
        """From now on these hear of everything and show it."""
        for name in addresses:
            address = self.addresses[name]
            address.stuck, address.chokes = False, None
            self._write(address, catches_up=True)

    def stick(self, *addresses: str) -> None:
        """From now on these hear of nothing."""
        for name in addresses:
            self.addresses[name].stuck = True

    def choke(self, address: str) -> None:
        """From now on it speaks no TLS for a name where it would show something else than it does."""
        found = self.addresses[address]
        found.chokes = dict(found.at(self._clock.true()))

    def look(self, edge: Edge, name: str) -> Seen:
        """As `probe.look` sees it."""
        now = self._clock.now()
        chain = self.shows(edge.host, name)
        if chain in (NOTHING, BROKEN):
            return Seen(edge, edge.host, name, now, Verdict.REFUSED, detail="no TLS is spoken there")
        fingerprint, issued_by, ends = _leaf(chain)
        problem = _problem(chain, name, now)
        verdict = Verdict.INVALID if problem else Verdict.VALID
        return Seen(edge, edge.host, name, now, verdict, fingerprint, issued_by, ends, problem or "", 2)

    def shows(self, address: str, name: str) -> str:
        """The chain for `name` at this moment, NOTHING or BROKEN. A wildcard is asked for by a name under it."""
        served = self.addresses[address].at(self._clock.true())
        asked = probe_name(name)
        star = f"*.{asked.split('.', 1)[1]}"
        return served.get(asked) or served.get(star) or NOTHING

    def fingerprint(self, address: str, name: str) -> str:
        """What it shows for that name now; "" for nothing or nonsense."""
        chain = self.shows(address, name)
        return "" if chain in (NOTHING, BROKEN) else _leaf(chain)[0]

    def fingerprints(self, name: str) -> set[str]:
        """What all addresses show for it now."""
        return {self.fingerprint(address, name) for address in self.addresses}

    def chains(self) -> set[str]:
        """Every chain that is shown somewhere now, or will be once a delay is over."""
        now = self._clock.true()
        found: set[str] = set()
        for address in self.addresses.values():
            for served in (address.at(now), *address.shown[bisect.bisect_right(address.moments, now) :]):
                found |= set(served.values())
        return found - {NOTHING, BROKEN}

    def everything(self) -> set[str]:
        """The same as fingerprints."""
        return {_leaf(chain)[0] for chain in self.chains()}

    def remember(self) -> Remembered:
        return Remembered({name: (list(each.moments), list(each.shown)) for name, each in self.addresses.items()})

    def put_back(self, remembered: Remembered) -> None:
        self.delay, self.wrong = timedelta(), []
        for name, (moments, shown) in remembered.addresses.items():
            self.addresses[name] = Address(name, list(moments), list(shown))

    def _write(self, address: Address, *, catches_up: bool = False) -> None:
        new: dict[str, str] = {name: chain for name, (chain, _) in self._serving(address.name).items()}
        if address.chokes is not None:
            new = {name: chain if address.chokes.get(name, NOTHING) == chain else BROKEN for name, chain in new.items()}
        old = address.last
        if new == old:
            return
        moment = max([self._clock.true() + self.delay, *address.moments[-1:]])
        address.moments.append(moment)
        address.shown.append(new)
        self._judge(address, old, new, moment, catches_up=catches_up)

    def _judge(self, address: Address, old: Served, new: Served, moment: datetime, *, catches_up: bool) -> None:
        for name in {*old, *new}:
            before, after = old.get(name, NOTHING), new.get(name, NOTHING)
            if before == after:
                continue
            if after == BROKEN and address.chokes is not None:
                continue  # this is what it was told to do
            if after in (NOTHING, BROKEN):
                if before != BROKEN:
                    self.wrong.append(
                        f"{address.name} served {name} and serves nothing for it from {moment:%H:%M:%S} on"
                    )
                continue
            if catches_up:
                continue  # the platform serves it since earlier, and may have been right then
            problem = _problem(after, name, moment) or self._allowed(after)
            if problem:
                self.wrong.append(f"{address.name} serves for {name} what it must not: {problem}")


@cache
def _leaf(chain: str) -> tuple[str, str, datetime]:
    leaf = keys.leaf_facts(keys.read_chain(chain)[0])
    return leaf.fingerprint, leaf.issued_by, leaf.lifetime.ends


@cache
def _unsound(chain: str, name: str) -> str | None:
    """Why a client would refuse it in its first second."""
    first = keys.leaf_facts(keys.read_chain(chain)[0]).lifetime.starts
    return judge(chain, name, Roots.of(default_ca().root_pem), first)


def _problem(chain: str, name: str, moment: datetime) -> str | None:
    """Why a client would refuse it. What does not depend on the moment is judged once."""
    if moment >= _leaf(chain)[2]:
        return "expired"
    return _unsound(chain, name)
