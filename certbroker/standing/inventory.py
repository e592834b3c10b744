"""What the watcher is given, out of the store and the file alone: no network, no secret, and no key in reach."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from certbroker import keys
from certbroker.config import Config
from certbroker.config.names import host_and_port
from certbroker.known import Issued, Known, Look, Place, Put
from certbroker.model import Edge
from certbroker.safe import Allowance, of_life
from certbroker.serving import measured, to_be_served
from certbroker.store import Store
from certbroker.watch.inventory import VERSION, AtTarget, Entry, Expected, Inventory, Where

TOGETHER: Final = timedelta(hours=1)
"""An edge that was passed over by a look at its target, which took less than that, is not the target's any more."""


def inventory(store: Store, config: Config, now: datetime, host: str) -> Inventory:
    """As of `now`, to be written by `host`. Raises StoreError, and BadMaterial where an issuer's roots are no certificates."""
    roots = _Roots(store.roots())
    with store.one_look():
        near: set[str] = set()
        found = (_Making(known, config, roots, near).entry() for known in store.all_known())
        entries = tuple(entry for entry in found if entry is not None)
        last_run = store.last_run("renew")
    return Inventory(
        certbroker_inventory=VERSION,
        store=store.id,
        host=host,
        written=now,
        next_writing=now + config.every,
        last_run=last_run,
        link=config.alerts.link,
        roots=roots.used,
        connect_to={at: to for at, to in config.network.connect_to.items() if at in near},
        certificates=entries,
    )


class _Roots:
    """Those that versions are judged by, each once, under a key."""

    def __init__(self, of_version: Mapping[int, str]) -> None:
        self._of_version = of_version
        self._keys: dict[str, str] = {}
        self.used: dict[str, str] = {}

    def key(self, version: int) -> str | None:
        """None: it is judged by the system's."""
        text = self._of_version.get(version)
        if text is None:
            return None
        if text not in self._keys:
            found = keys.read_chain(text, what="the roots")
            pem = "".join(each.public_bytes(Encoding.PEM).decode() for each in found)  # whatever else the file held
            self._keys[text] = hashlib.sha256(pem.encode()).hexdigest()[:12]
            self.used[self._keys[text]] = pem
        return self._keys[text]


class _Making:
    """One certificate."""

    def __init__(self, known: Known, config: Config, roots: _Roots, near: set[str]) -> None:
        """`near` gets the "host:port" of every edge, and of every address that its name led to."""
        self._known = known
        self._config = config
        self._roots = roots
        self._near = near

    def entry(self) -> Entry | None:
        """None where nothing was ever proven or delivered: there is nothing to compare with."""
        found: dict[tuple[str, tuple[str, ...], tuple[Where, ...]], list[str]] = defaultdict(list)
        standby: dict[str, bool] = {}
        versions: dict[str, Issued] = {}
        for place in self._known.places:
            standby[place.target] = place.standby
            for name in place.names:
                served = to_serve(self._known, place, name)
                if served:
                    versions |= {each.fingerprint: each for each in served}
                    serves = tuple(each.fingerprint for each in served)
                    found[place.target, serves, self._edges(place.target, name)].append(name)
        if not found:
            return None
        took = measured(self._known)
        wanted = [each.wanted for each in self._known.orderings.values() if each.wanted]
        return Entry(
            name=self._known.certificate,
            renews=min((each.renews for each in wanted if each.renews), default=None),
            versions=tuple(self._expected(each, took) for each in sorted(versions.values(), key=lambda each: each.id)),
            targets=tuple(
                AtTarget(target=target, standby=standby[target], names=tuple(names), serves=serves, edges=edges)
                for (target, serves, edges), names in found.items()
            ),
        )

    def _expected(self, version: Issued, took: timedelta | None) -> Expected:
        allowance: Allowance = self._known.allowance
        return Expected(
            fingerprint=version.fingerprint,
            label=version.label,
            starts=version.life.starts,
            ends=version.life.ends,
            act_by=of_life(version.life, took=took, allowance=allowance),
            roots=self._roots.key(version.id),
        )

    def _edges(self, target: str, name: str) -> tuple[Where, ...]:
        """Those of the last look there, and those that the file adds."""
        settings = self._config.targets.get(target)
        named = dict.fromkeys(settings.edges if settings else ())
        for edge, address in looked_at(
            look for look in self._known.looks if (look.target, look.name) == (target, name)
        ):
            named[edge] = None
            if address:
                self._near.add(_joined(address, edge.port))
        self._near |= {_joined(edge.host, edge.port) for edge in named}
        return tuple(Where(host=edge.host, port=edge.port) for edge in named)


def to_serve(known: Known, place: Place, name: str) -> tuple[Issued, ...]:
    """What may be served there now, the wanted version first; beside it what was proven last, until the wanted one is.

    Empty where nothing of ours was ever proven or delivered for that name.
    """
    mine = [put for put in known.puts if (put.target, put.name) == (place.target, name)]
    settled = [put for put in mine if put.phase.settled]
    if not settled:
        return ()
    last, wanted = max(settled, key=_newest).version, to_be_served(known, place)
    return (last,) if wanted is None or wanted.id == last.id else (wanted, last)


def _newest(put: Put) -> tuple[datetime, int]:
    return put.since, put.version.id


def looked_at(looks: Iterable[Look]) -> Iterator[tuple[Edge, str]]:
    """The edges of the last look at one name of a target, each with the address that its name led to, if it has one."""
    rows: Sequence[Look] = list(looks)
    newest = max((look.at for look in rows), default=None)
    for look in rows:
        if newest is not None and newest - look.at <= TOGETHER:
            text, _, address = look.edge.partition(" (")
            yield Edge(*host_and_port(text, 443)), address.removesuffix(")")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
