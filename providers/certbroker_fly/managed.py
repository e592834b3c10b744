"""Fly's own certificates: requested, stood in for, ended. They stand beside the uploaded one, which is served first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from certbroker.errors import Missing, ProviderError, Rejected
from certbroker.model import Assignment, Done, Failed, Outcome, Record, Waiting
from certbroker.provider import ManagedFacts
from certbroker_fly.api import SERVICE, FlyApi, Hostname

Look = Callable[[str], Hostname | None]

AUTHORITY: Final = "letsencrypt.org"
"""By this domain CAA has to let Fly's certificates be signed (Fly's documentation: it issues through Let's Encrypt)."""


class FlysOwn:
    """The managed certificates of one app. `look`: what is there for a hostname; None if Fly does not know it."""

    def __init__(self, api: FlyApi, look: Look) -> None:
        self._api = api
        self._look = look

    def facts(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        """One call a name, as `inspect`."""
        found = {name: self._look(name) for name in names}
        return {name: _facts(hostname) for name, hostname in found.items() if hostname}

    def request(self, name: str) -> Outcome:
        """Ask once; then have Fly look at DNS."""
        hostname = self._look(name)
        if hostname is None or not (hostname.requested or hostname.managed):
            try:
                hostname = self._api.request_managed(name)
            except Rejected:  # "Hostname already exists on app": somebody was quicker, or it is a refusal
                hostname = self._look(name)
                if hostname is None or not hostname.requested:
                    raise
        if not _active(hostname):
            hostname = self._api.check(name)
        return Done() if _active(hostname) else Waiting(tuple(filter(None, [_challenge(hostname)])))

    def give_way(self, name: str) -> Outcome:
        """Remove the uploaded one, but only where Fly's own stands behind it."""
        hostname = self._look(name)
        if hostname is None or not _active(hostname):
            return Failed(_nothing_behind(name))
        if hostname.custom:
            self._gone(self._api.delete_custom, name)
        return Done()

    def retire(self, name: str) -> Outcome:
        """End Fly's own, but only where an uploaded one is served."""
        hostname = self._look(name)
        if hostname is None or not (hostname.managed or hostname.requested):
            return Done()
        if not (hostname.custom and hostname.custom.active):
            return Failed(
                Rejected(
                    f"{SERVICE} serves {name} with nothing but its own certificate",
                    hint="nothing was touched; push ours first",
                )
            )
        self._gone(self._api.delete_managed, name)
        return Done()

    def each(self, assignment: Assignment, act: Callable[[str], Outcome]) -> dict[str, Outcome]:
        """One name's error is its outcome; what concerns the whole app is raised if nothing was done yet."""
        outcomes: dict[str, Outcome] = {}
        for name in assignment.names:
            try:
                outcomes[name] = act(name)
            except ProviderError as error:
                outcomes[name] = Failed(error)
        return outcomes

    def _gone(self, delete: Callable[[str], None], name: str) -> None:
        try:
            delete(name)
        except Missing:
            return  # already done


def _active(hostname: Hostname) -> bool:
    return bool(hostname.managed and hostname.managed.active)


def ownership(hostname: Hostname) -> tuple[Record, ...]:
    """The record that proves the name to Fly. The organisation's value comes first: it serves a second app too."""
    proof = hostname.ownership
    if proof is None:
        return ()
    return (Record(proof.name, "TXT", tuple(value for value in (proof.org, proof.app) if value), separator=";"),)


def _challenge(hostname: Hostname) -> Record | None:
    wanted = hostname.challenge
    return Record(wanted.name, "CNAME", (f"{wanted.target}.",)) if wanted else None


def _facts(hostname: Hostname) -> ManagedFacts:
    """A wildcard cannot be proven by where it points."""
    entry = hostname.managed
    kinds = [("AAAA" if ":" in address else "A", address) for address in hostname.addresses]
    kinds += [("CNAME", f"{hostname.cname}.")] if hostname.cname else []
    return ManagedFacts(
        state="issued" if _active(hostname) else "pending" if hostname.requested or entry else "none",
        ends=entry.ends if entry else None,
        challenge=_challenge(hostname),
        routing=()
        if hostname.name.startswith("*.")
        else tuple(Record(hostname.name, kind, (value,)) for kind, value in kinds),
        ownership=next(iter(ownership(hostname)), None),
        authority=AUTHORITY,
    )


def _nothing_behind(name: str) -> Rejected:
    return Rejected(
        f"{SERVICE} has no certificate of its own for {name} that it could serve",
        hint="nothing was touched; ours stays until Fly's own is issued",
    )
